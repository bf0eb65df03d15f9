//! Notices: what each receiver is sent, byte for byte, and that it keeps the receivers' limits.

mod cases;
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
