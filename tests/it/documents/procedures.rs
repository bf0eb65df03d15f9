//! The runbook's procedures, typed as they are printed, by the real binary on a running installation.

use std::ops::Range;

use crate::real::site::Site;
use crate::real::wait_until;

use super::{commands, text, words};

/// The commands in the code blocks of `### title`, with this installation's names and a short drain.
fn procedure(title: &str) -> Vec<Vec<String>> {
    let document = text("docs/operations.md");
    let (_, rest) = document.split_once(&format!("\n### {title}\n")).unwrap_or_else(|| panic!("no {title:?}"));
    let blocks: String = rest.split("\n### ").next().unwrap().split("```").skip(1).step_by(2).collect();
    let here = [("us-east-1", "use1"), ("eu-west-1", "euw1"), ("60s", "1s"), ("ops-slack", "ops")];
    let lines = commands(&format!("```{blocks}```"));
    let lines = lines.iter().map(|line| here.iter().fold(line.clone(), |line, (from, to)| line.replace(from, to)));
    lines.map(|line| words(&line)[1..].to_vec()).collect()
}

/// Types some commands of a procedure; each must end well and be over before the next.
fn follow(site: &Site, title: &str, which: Range<usize>) {
    let lines = procedure(title);
    assert!(lines.len() >= which.end, "{title} has {} commands only", lines.len());
    for line in &lines[which] {
        let line: Vec<&str> = line.iter().map(String::as_str).collect();
        let said = site.command(&line);
        // The doctor may well find something here.
        let good = said.code == Some(0) || (line[0] == "doctor" && said.code == Some(1));
        assert!(good, "{title}: {line:?}: {said:#?}");
        site.wait_status(&format!("{title}: {line:?} is over"), |s| s["reports"][0]["moving"].is_null());
    }
}

#[test]
fn what_the_runbook_says_to_type_does_what_it_says() {
    let site = Site::new();
    let daemon = site.run("a");
    let mode = |wanted: &str| wait_until(&format!("mode {wanted}"), || site.sandbox.fence_key("m") == wanted);

    follow(&site, "Stop it", 0..1);
    mode("frozen");
    follow(&site, "Stop it", 1..3);
    mode("auto");

    assert_eq!(site.command(&["switch", "web", "--to", "euw1", "--reason", "to be undone"]).code, Some(0));
    site.wait_answer(&site.euw1, &daemon);
    follow(&site, "Undo a move", 0..2);
    site.wait_answer(&site.use1, &daemon);

    follow(&site, "Planned switchover", 0..3);
    site.wait_answer(&site.euw1, &daemon);
    follow(&site, "Planned switchover", 3..5);
    site.wait_answer(&site.use1, &daemon);

    follow(&site, "Region evacuation", 0..3);
    site.wait_answer(&site.euw1, &daemon);
    follow(&site, "Region evacuation", 3..4);

    follow(&site, "Force", 0..1);
    site.wait_answer(&site.use1, &daemon);
    mode("forced");
    follow(&site, "Force", 1..2);
    mode("auto");

    follow(&site, "Release and takeover", 0..1);
    mode("released");
    follow(&site, "Release and takeover", 1..2);
    mode("auto");

    delete_fence(&site);
    site.wait_status("the fence is in trouble", |s| s["reports"][0]["fence"].is_null());
    follow(&site, "The fence is in trouble", 0..2);
    mode("auto");

    follow(&site, "Locked out", 0..3);
    follow(&site, "Credentials rotation", 0..1);
    follow(&site, "Upgrade", 0..3);
    follow(&site, "Give failoverd up", 0..1);
    mode("released");
}

/// What a cleanup script does to a TXT record that it does not know.
fn delete_fence(site: &Site) {
    site.sandbox.batch(&format!(
        "<Change><Action>DELETE</Action><ResourceRecordSet><Name>www._failoverd.example.com</Name><Type>TXT</Type>\
         <TTL>60</TTL><ResourceRecords><ResourceRecord><Value>\"{}\"</Value></ResourceRecord></ResourceRecords>\
         </ResourceRecordSet></Change>",
        site.sandbox.fence()
    ));
}
