//! The zone as a lock: exact DELETE, all or nothing, one winner.

use failoverd::engine::zone::ApiErrorKind;

use super::*;

pub async fn adoption_creates_the_fence_once_and_a_foreign_one_stops_it(env: &Env) {
    env.adopted().await;
    let theirs = fence_value(1, "other", "eu-west-1").replace("prod/use1-a", "staging/euw1-a");
    let message = env
        .refuse(&[env.fence_change(ChangeOp::Create, &theirs), env.address_change(ChangeOp::Upsert, "192.0.2.2")])
        .await;
    assert!(message.contains("already exists"), "{message}");
}

pub async fn a_fenced_batch_moves_the_address_and_the_fence_together(env: &Env) {
    let first = env.adopted().await;
    let second = fence_value(42, "one", "eu-west-1");
    env.accept(&env.fenced(&first, &second, "192.0.2.2")).await;
    env.expect(&second, "192.0.2.2").await;
    let swap = [
        env.fence_change(ChangeOp::Delete, &second),
        env.address_change(ChangeOp::Delete, "192.0.2.2"),
        env.fence_change(ChangeOp::Create, &first),
        env.address_change(ChangeOp::Create, "192.0.2.1"),
    ];
    env.accept(&swap).await;
    env.expect(&first, "192.0.2.1").await;
}

fn values(list: &[&str]) -> Data {
    Data::Values { ttl: 60, values: list.iter().map(ToString::to_string).collect() }
}

pub async fn a_delete_must_repeat_value_and_ttl_exactly(env: &Env) {
    let live = env.adopted().await;
    let next = env.fence_change(ChangeOp::Create, &fence_value(42, "one", "eu-west-1"));
    let exact = env.fence_change(ChangeOp::Delete, &live);
    let wrong_ttl = Change { data: Data::Values { ttl: 61, values: vec![live.clone()] }, ..exact.clone() };
    let message = env.refuse(&[wrong_ttl, next.clone()]).await;
    assert!(message.contains("values provided do not match the current values"), "{message}");
    let wrong_value = Change { data: values(&[&live.replace("e=41", "e=40")]), ..exact.clone() };
    let message = env.refuse(&[wrong_value, next.clone()]).await;
    assert!(message.contains("values provided do not match the current values"), "{message}");
    let extra_value = Change { data: values(&[&live, "\"more\""]), ..exact.clone() };
    env.refuse(&[extra_value, next.clone()]).await;
    let never_there = Change { name: name(&format!("none._failoverd.{}", env.zone_name)), ..exact.clone() };
    let message = env.refuse(&[never_there, next.clone()]).await;
    assert!(message.contains("not found"), "{message}");
    env.accept(&[exact, next]).await;
}

pub async fn a_stale_fence_is_refused_with_nothing_applied(env: &Env) {
    let first = env.adopted().await;
    let second = fence_value(42, "one", "eu-west-1");
    env.accept(&env.fenced(&first, &second, "192.0.2.2")).await;
    let stale = env.fenced(&first, &fence_value(43, "stale", "us-east-1"), "192.0.2.66");
    env.refuse(&stale).await;
    env.expect(&second, "192.0.2.2").await;
    let fresh = fence_value(43, "fresh", "us-east-1");
    env.accept(&env.fenced(&second, &fresh, "192.0.2.1")).await;
    env.expect(&fresh, "192.0.2.1").await;
}

pub async fn a_batch_is_applied_whole_or_not_at_all(env: &Env) {
    let live = env.adopted().await;
    let mut last_is_wrong = env.fenced(&live, &fence_value(42, "one", "eu-west-1"), "192.0.2.2");
    let gone = name(&format!("gone.{}", env.zone_name));
    last_is_wrong.push(Change { name: gone, ..env.address_change(ChangeOp::Delete, "192.0.2.9") });
    env.refuse(&last_is_wrong).await;
    env.expect(&live, "192.0.2.1").await;
    last_is_wrong.pop();
    env.accept(&last_is_wrong).await;
}

pub async fn of_eight_racers_for_one_fence_one_wins(env: &Env) {
    let live = env.adopted().await;
    let race = futures_util::future::join_all((0..8).map(|racer| {
        let changes =
            env.fenced(&live, &fence_value(42, &format!("racer{racer}"), "eu-west-1"), &format!("192.0.2.1{racer}"));
        async move {
            loop {
                match env.write(&changes).await {
                    WriteAnswer::Refused { code, .. } if code.is_transient() => {}
                    answer => return answer,
                }
            }
        }
    }));
    let answers = race.await;
    let winners: Vec<usize> = (0..8).filter(|racer| matches!(answers[*racer], WriteAnswer::Accepted { .. })).collect();
    let losers = answers.iter().filter(|a| matches!(a, WriteAnswer::Refused { code: RefusedCode::Precondition, .. }));
    assert_eq!((winners.len(), losers.count()), (1, 7), "{answers:?}");
    let winner = winners[0];
    env.expect(&fence_value(42, &format!("racer{winner}"), "eu-west-1"), &format!("192.0.2.1{winner}")).await;
}

pub async fn what_is_listed_can_be_deleted_byte_for_byte(env: &Env) {
    let fence = name(&format!("_any._failoverd.{}", env.zone_name));
    let wild = name(&format!("*.{}", env.zone_name));
    let text =
        |op, values: &[&str]| Change { op, name: fence.clone(), rtype: "TXT".into(), data: self::values(values) };
    let a = Change { name: wild.clone(), ..env.address_change(ChangeOp::Create, "192.0.2.1") };
    let aaaa = Change { rtype: "AAAA".into(), data: values(&["2001:db8::1", "2001:db8::2"]), ..a.clone() };
    env.accept(&[text(ChangeOp::Create, &["\"v=1 <&> \\\"quoted\\\"\"", "\"two\" \"strings\""]), a, aaaa]).await;
    let read = env.reader.read_record(&env.zone, &wild, &fence).await.result.unwrap();
    let mut types: Vec<&str> = read.sets.iter().map(|set| set.rtype.as_str()).collect();
    types.sort_unstable();
    assert_eq!(types, ["A", "AAAA"]);
    assert_eq!(read.fence.len(), 1);
    let delete = |name: &RecordName, set: &LiveSet| Change {
        op: ChangeOp::Delete,
        name: name.clone(),
        rtype: set.rtype.clone(),
        data: Data::Values { ttl: set.ttl.unwrap(), values: set.values.clone() },
    };
    let mut changes: Vec<Change> = read.sets.iter().map(|set| delete(&wild, set)).collect();
    changes.extend(read.fence.iter().map(|set| delete(&fence, set)));
    env.accept(&changes).await;
    let read = env.reader.read_record(&env.zone, &wild, &fence).await.result.unwrap();
    assert_eq!(read, RecordRead { sets: Vec::new(), fence: Vec::new() });
}

pub async fn a_wrong_zone_is_named_as_such(env: &Env) {
    let nowhere = ZoneId::new("Z00000000000000000000");
    let changes = [env.address_change(ChangeOp::Upsert, "192.0.2.1")];
    match env.writer.change(&nowhere, &changes, "battery").await {
        WriteAnswer::Refused { code: RefusedCode::NoSuchZone, message } => {
            assert!(message.contains("Z00000000000000000000"), "{message}");
        }
        other => panic!("{other:?}"),
    }
    let read = env.reader.read_record(&nowhere, &env.www(), &env.fence()).await;
    assert_eq!((read.result.unwrap_err().kind, read.calls), (ApiErrorKind::NoSuchZone, 1));
}
