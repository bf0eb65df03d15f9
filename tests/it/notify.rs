//! Notices: what each receiver is sent, byte for byte, and that it keeps the receivers' limits.

pub mod cases;
mod courier;
mod limits;
pub mod receiver;
mod send;

use std::path::PathBuf;

use failoverd::notify::render;
use proptest::prelude::*;
use serde_json::Value;

use crate::golden;

type Render = fn(&failoverd::engine::notice::Notice) -> Value;
type Check = fn(&Value) -> Vec<String>;

const RECEIVERS: [(&str, Render, Check); 2] =
    [("slack", render::slack, limits::slack), ("webhook", render::webhook, limits::webhook)];

#[test]
fn every_kind_and_every_extreme_reads_as_in_its_golden_file() {
    let mut faults = Vec::new();
    let mut expected = Vec::new();
    for (name, notice) in cases::all() {
        for (receiver, render, _) in RECEIVERS {
            let path = PathBuf::from(format!("tests/golden/notify/{name}.{receiver}.json"));
            let text = serde_json::to_string_pretty(&render(&notice)).unwrap() + "\n";
            faults.extend(golden::compare(&path, &text).err());
            expected.push(golden::root().join(path));
        }
    }
    for file in std::fs::read_dir(golden::root().join("tests/golden/notify")).unwrap() {
        let path = file.unwrap().path();
        if !expected.contains(&path) {
            faults.push(format!("{} belongs to no case", path.display()));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_golden_file_keeps_the_limits_of_its_receiver() {
    for file in std::fs::read_dir(golden::root().join("tests/golden/notify")).unwrap() {
        let path = file.unwrap().path();
        let payload: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let (_, _, check) = RECEIVERS.iter().find(|(r, _, _)| name.ends_with(&format!(".{r}.json"))).unwrap();
        assert_eq!(check(&payload), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn an_observer_says_would_have_and_never_that_something_was_written() {
    let (_, notice) = cases::all().into_iter().find(|(name, _)| name == "observe").unwrap();
    let text = render::slack(&notice).to_string();
    assert!(
        text.contains("would have") && text.contains("nothing was written") && text.contains("[observe]"),
        "{text}"
    );
    assert_eq!(render::webhook(&notice)["data"]["observe"], true);
}

#[test]
fn what_is_left_out_is_said() {
    let (_, notice) = cases::all().into_iter().find(|(name, _)| name == "long").unwrap();
    let slack = render::slack(&notice).to_string();
    for part in ["… [clipped]", "entries left out", "more lines, see `failoverd explain web`", "and 4 more"] {
        assert!(slack.contains(part), "{part} not in {slack}");
    }
    assert_eq!(render::webhook(&notice)["data"]["truncated"], true);
    let (_, short) = cases::all().into_iter().find(|(name, _)| name == "moved").unwrap();
    assert_eq!(render::webhook(&short)["data"]["truncated"], false);
}

#[test]
fn places_read_as_people_say_them_and_an_older_receiver_still_finds_target_and_region() {
    let case = |wanted: &str| cases::all().into_iter().find(|(name, _)| name == wanted).unwrap().1;
    let line = |wanted: &str| {
        let text = render::slack(&case(wanted))["blocks"][1]["text"]["text"].as_str().unwrap().to_owned();
        text.lines().nth(1).unwrap().to_owned()
    };
    assert_eq!(
        line("several"),
        "*a, b, c* (region eu, 192.0.2.1, 192.0.2.2, 192.0.2.3) → *a, b* (region eu, 192.0.2.1, 192.0.2.2)"
    );
    assert!(line("several-regions").ends_with("→ *a, b, c* (region eu, us, 192.0.2.1, 192.0.2.2, 2001:db8::3)"));
    assert!(line("host").ends_with("*eu-west-1* (region europe, lb.eu-west-1.example.net)"));
    assert!(line("alias").contains("alias dualstack.web.eu-west-1.elb.example.net in zone Z35SXDOTRQ7X7K"));
    for (name, target, region, held) in [
        ("moved", "eu-west-1", "europe", None),
        ("several-regions", "a, b, c", "eu, us", None),
        ("host", "eu-west-1", "europe", Some("host")),
        ("alias", "eu-west-1", "europe", Some("alias")),
    ] {
        let to = render::webhook(&case(name))["data"]["moved"]["to"].clone();
        assert_eq!((to["target"].as_str(), to["region"].as_str()), (Some(target), Some(region)), "{name}");
        assert_eq!(to["targets"].as_array().unwrap().len(), to["regions"].as_array().unwrap().len(), "{name}");
        for key in ["host", "alias"] {
            assert_eq!(to.get(key).is_some(), held == Some(key), "{name} {key}");
        }
        assert_eq!(to["addresses"].as_array().unwrap().is_empty(), held.is_some(), "{name}");
    }
}

#[test]
fn other_peoples_text_makes_no_mention_no_link_and_no_markup() {
    let (_, notice) = cases::all().into_iter().find(|(name, _)| name == "hostile").unwrap();
    let slack = render::slack(&notice);
    let blocks = slack["blocks"].as_array().unwrap();
    let texts: Vec<&str> = blocks.iter().filter_map(|b| b["text"]["text"].as_str()).skip(1).collect();
    for text in texts.iter().chain(&[slack["text"].as_str().unwrap()]) {
        assert!(!text.contains('<') && !text.contains('>'), "{text}");
        assert!(text.matches("```").count() % 2 == 0, "{text}");
    }
    assert!(slack.to_string().contains("&lt;!channel&gt;"), "{slack}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_notice_keeps_the_limits_of_every_receiver(notice in cases::any()) {
        for (receiver, render, check) in RECEIVERS {
            let payload = render(&notice);
            prop_assert_eq!(check(&payload), Vec::<String>::new(), "{}", receiver);
            prop_assert_eq!(render(&notice), payload, "the same notice gives the same bytes");
        }
    }
}
