//! One request of several policies: whom a refusal names, and what a request may hold.

use failoverd::engine::batch::{MAX_CHARACTERS, MAX_RECORDS, names};
use failoverd::engine::intent::Kind;
use failoverd::engine::plan::Plan;

use super::plans::{fence_only, host, policy, publish, read, refused, together};
use super::*;

pub async fn a_shared_batch_with_one_stale_fence_is_refused_whole_and_names_only_it(env: &Env) {
    let zone = &env.zone_name;
    // Each name is part of another one: only the whole name may count.
    let records = [format!("web.{zone}"), format!("b.web.{zone}"), format!("*.web.{zone}")];
    let policies: Vec<_> = ["first", "second", "third"]
        .iter()
        .zip(&records)
        .map(|(id, record)| policy(env, id, record, [host("east.lb.example.net"), host("west.lb.example.net")]))
        .collect();
    for stale in 0..policies.len() {
        let epoch = 10 * (u64::try_from(stale).unwrap() + 1);
        let (from, to) = (u32::try_from(stale % 2).unwrap(), u32::try_from((stale + 1) % 2).unwrap());
        let mut plans: Vec<Plan> = Vec::new();
        for policy in &policies {
            plans.push(publish(env, policy, &read(env, policy).await, epoch, from));
        }
        env.accept(&together(&plans.iter().collect::<Vec<_>>())).await;

        let mut reads = Vec::new();
        for policy in &policies {
            reads.push(read(env, policy).await);
        }
        let plans: Vec<Plan> =
            policies.iter().zip(&reads).map(|(policy, read)| publish(env, policy, read, epoch + 1, to)).collect();
        let burn = fence_only(env, &policies[stale], &reads[stale], Kind::Burn, epoch, "prod");
        env.accept(&burn.changes()).await;
        reads[stale] = read(env, &policies[stale]).await;

        let message = refused(env, &together(&plans.iter().collect::<Vec<_>>())).await;
        let named: Vec<bool> = plans.iter().map(|plan| names(&message, plan)).collect();
        let wanted: Vec<bool> = (0..plans.len()).map(|n| n == stale).collect();
        assert_eq!(named, wanted, "{message}");
        for (policy, before) in policies.iter().zip(&reads) {
            assert_eq!(read(env, policy).await, *before, "a refused batch changed {}", policy.id);
        }

        let rest: Vec<&Plan> = plans.iter().enumerate().filter(|(n, _)| *n != stale).map(|(_, plan)| plan).collect();
        env.accept(&together(&rest)).await;
        env.accept(&publish(env, &policies[stale], &reads[stale], epoch + 1, to).changes()).await;
        for policy in &policies {
            let host = if to == 0 { "east.lb.example.net." } else { "west.lb.example.net." };
            assert_eq!(read(env, policy).await.sets[0].values, [host], "{}", policy.id);
        }
    }
}

/// MiniStack has no limits: the sandbox alone.
pub async fn a_request_beyond_a_limit_is_refused_with_nothing_applied(env: &Env) {
    let change = |op, n: usize, value: String| Change {
        op,
        name: name(&format!("n{n}.{}", env.zone_name)),
        rtype: "TXT".into(),
        data: Data::Values { ttl: 60, values: vec![format!("\"{value}\"")] },
    };
    let many = |op, count: usize| -> Vec<Change> { (0..count).map(|n| change(op, n, n.to_string())).collect() };
    let fat = |op, count: usize| -> Vec<Change> { (0..count).map(|n| change(op, n, "x".repeat(198))).collect() };
    for (over, limit) in [
        (many(ChangeOp::Upsert, MAX_RECORDS / 2 + 1), "Number of records limit of 1000"),
        (many(ChangeOp::Create, MAX_RECORDS + 1), "Number of records limit of 1000"),
        (fat(ChangeOp::Upsert, MAX_CHARACTERS / 400 + 1), "RDATA character limit of 32000"),
        (fat(ChangeOp::Create, MAX_CHARACTERS / 200 + 1), "RDATA character limit of 32000"),
    ] {
        let message = refused(env, &over).await;
        assert!(message.contains(limit), "{message}");
        let left = env.reader.list_zone(&env.zone).await.result.unwrap();
        assert!(left.iter().all(|(name, _)| name == env.zone_name.as_str()), "{left:?}");
    }
    env.accept(&many(ChangeOp::Upsert, MAX_RECORDS / 2)).await;
    env.accept(&fat(ChangeOp::Upsert, MAX_CHARACTERS / 400)).await;
}
