//! JSON logs of the real binary: one object per line, whatever happens.

use serde_json::Value;

use crate::cli::place::Place;
use crate::real::daemon::{Process, Said, failoverd, finish};
use crate::real::wait_until;
use crate::servers::Mode;

/// Every line of a text as an object; fails on one that is none.
fn objects(text: &str) -> Vec<Value> {
    let object = |line: &str| match serde_json::from_str(line) {
        Ok(Value::Object(object)) => Value::Object(object),
        other => panic!("not one JSON object: {line:?}: {other:?}"),
    };
    text.lines().map(object).collect()
}

/// The lines of a log, each with what a reader of any of them relies on.
fn log(said: &str) -> Vec<Value> {
    let lines = objects(said);
    for line in &lines {
        for key in ["timestamp", "level", "message"] {
            assert!(line[key].is_string(), "{key}: {line:#}");
        }
    }
    lines
}

fn with<'a>(lines: &'a [Value], message: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["message"] == message).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_says_in_json_that_it_is_alive_and_what_changes() {
    let place = Place::new().await;
    let mut daemon = place.daemon_json();
    let alive = daemon.wait_log("\"message\":\"alive\"");
    let alive = &log(&alive)[0];
    for (key, value) in [
        ("level", "INFO".into()),
        ("policies", Value::from(1)),
        ("moving", 0.into()),
        ("frozen", 0.into()),
        ("blind", false.into()),
        ("store_ok", true.into()),
        ("uptime_s", 0.into()),
        ("instance", "a".into()),
        ("version", env!("CARGO_PKG_VERSION").into()),
    ] {
        assert_eq!(alive[key], value, "{key}: {alive:#}");
    }
    wait_until("steady", || place.say(&["status"]).out.contains("steady"));
    place.expect(&["freeze", "--reason", "a \"quoted\"\nnight"], 0);
    std::fs::write(place.path().join("policies/web.toml"), "nonsense").unwrap();
    daemon.signal(rustix::process::Signal::HUP);
    daemon.wait_log("reload refused");
    assert_eq!(daemon.terminate(), Some(0));
    let lines = log(&daemon.err());
    assert_eq!(with(&lines, "stopped").len(), 1, "{lines:#?}");
    assert!(lines.iter().any(|l| l["level"] == "ERROR" && l["file"].as_str().is_some_and(|f| f.ends_with("web.toml"))));

    // What a person stopped is seen at once by whoever reads the next process's first line.
    place.write_policy(30);
    let mut daemon = place.daemon_json();
    let alive = daemon.wait_log("\"message\":\"alive\"");
    assert_eq!(log(&alive)[0]["frozen"], 1, "{alive}");
    assert_eq!(daemon.terminate(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_ends_with_one_line_that_has_its_result_and_exit_code() {
    let place = Place::new().await;
    let pass = |more: &[&str]| place.say(&[&["--log", "json", "once"], more].concat());
    let ended = |said: &Said, result: &str, exit: i32| {
        let lines = log(&said.err);
        let last = lines.last().unwrap();
        assert_eq!(with(&lines, "pass ended"), [last], "{lines:#?}");
        assert_eq!((&last["result"], &last["exit"]), (&result.into(), &exit.into()), "{last:#}");
        assert_eq!(said.code, Some(exit));
        assert!(!lines.iter().any(|l| l["message"] == "alive"), "only the daemon says it");
        lines
    };
    let said = pass(&[]);
    ended(&said, "quiet", 0);
    assert_eq!(objects(&said.out)[0]["policy"], "web", "stdout is data, one object for each policy");

    place.east.set(Mode::Refuse).await;
    ended(&pass(&["--detailed-exitcode"]), "moved", 2);
    place.west.set(Mode::Refuse).await;
    let said = pass(&["--deadline", "30s"]);
    let lines = log(&said.err);
    let error = lines.iter().rfind(|l| l["level"] == "ERROR").expect("why it did not work");
    assert!(error["message"].is_string() && error["next"].is_string(), "{error:#}");
    assert_eq!(error["exit"], said.code.unwrap(), "{error:#}");
    assert_ne!(said.code, Some(0));

    // In text the same pass is for a person: a table and words.
    let said = place.say(&["once", "--deadline", "30s"]);
    assert!(said.out.contains("POLICY") && said.err.contains("pass ended result="), "{said:#?}");
}

#[test]
fn an_error_at_the_end_is_one_object_when_json_is_asked_for_and_words_when_not() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("bad.toml"), "instanse = \"a\"\n").unwrap();
    for (line, code, text) in [
        (vec!["run", "-c", "none.toml"], 4, "none.toml"),
        (vec!["run", "-c", "bad.toml"], 4, "instanse"),
        (vec!["once", "-c", "bad.toml"], 4, "instanse"),
        (vec!["status", "-c", "bad.toml"], 4, "instanse"),
        (vec!["status", "--nope"], 1, "--nope"),
        (vec!["frobnicate"], 1, "frobnicate"),
        (vec!["probe", "http://127.0.0.1:1/", "--nope"], 1, "--nope"),
    ] {
        let json: Vec<&str> = [&["--log", "json"][..], &line].concat();
        let said = finish(failoverd(dir.path()).args(&json));
        assert_eq!(said.code, Some(code), "{json:?}: {said:#?}");
        let lines = log(&said.err);
        assert!(lines.iter().any(|l| l["level"] == "ERROR" && l["exit"] == code), "{json:?}: {lines:#?}");
        assert!(said.err.contains(text), "{json:?}: {said:#?}");

        let said = finish(failoverd(dir.path()).args(&line));
        assert_eq!(said.code, Some(code), "{line:?}");
        assert!(said.err.contains("error: ") && serde_json::from_str::<Value>(&said.err).is_err(), "{said:#?}");
    }
    let said = finish(failoverd(dir.path()).args(["--log", "json", "once", "-c", "bad.toml"]));
    let last = log(&said.err).pop().unwrap();
    assert_eq!((&last["message"], &last["result"], &last["exit"]), (&"pass ended".into(), &"failed".into(), &4.into()));
}

impl Place {
    fn daemon_json(&self) -> Process {
        let mut process = Process::start(&mut self.command(&["run", "--log", "json"]));
        process.wait_log("\"message\":\"ready\"");
        process
    }
}
