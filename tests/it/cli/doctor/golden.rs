//! What a person sees of one full look, kept in a file.

use std::path::Path;

use super::world::World;
use crate::golden;
use crate::servers::Mode;

#[tokio::test(flavor = "multi_thread")]
async fn a_full_look_reads_as_it_is_kept() {
    let mut world = World::adopted().await;
    let shop = std::fs::read_to_string(world.place.path().join("policies/web.toml")).unwrap();
    let shop = shop.replace("[\"www.example.com\", \"api.example.com\"]", "[\"shop.example.com\"]");
    std::fs::write(world.place.path().join("policies/shop.toml"), shop).unwrap();
    world.place.sandbox.put(&format!("shop.example.com 30 A {}", world.place.east.ip())).await.unwrap();
    world.place.expect(&["once"], 0);
    world.place.expect(&["freeze", "web", "--reason", "a quiet night"], 0);
    world.place.west.set(Mode::Status(503)).await;
    world.silence(2);
    world.place.put_fence("old", "default", "gone").await;
    let stood = world.fence("shop");
    world.put_fence("shop", Some(format!("{stood} , \"hello\""))).await;
    let said = world.place.expect(&["doctor"], 1);
    let known = [
        (world.place.path().display().to_string(), "DIR"),
        (world.place.east.ip().to_string(), "EAST"),
        (world.place.west.ip().to_string(), "WEST"),
    ];
    let text = known.iter().fold(said.out, |text, (from, to)| text.replace(from.as_str(), to));
    golden::check(Path::new("tests/golden/doctor.txt"), &without_times(&text));
}

/// Times, ages and who ran it differ from run to run.
fn without_times(text: &str) -> String {
    let words = |line: &str| {
        let words: Vec<String> = line.split(' ').map(one).collect();
        let text = words.join(" ");
        // By whom: the number of whoever runs the tests.
        match text.split_once("frozen by uid ") {
            Some((before, after)) => {
                format!("{before}frozen by UID{}", after.trim_start_matches(|c: char| c.is_ascii_digit()))
            }
            None => text,
        }
    };
    text.lines().map(|line| words(line) + "\n").collect()
}

fn one(word: &str) -> String {
    let digits = |c: char| c.is_ascii_digit();
    if word.len() >= 20 && word.starts_with("20") && word.contains('T') && word.contains('Z') {
        return format!("TIME{}", word.split_once('Z').map_or("", |(_, rest)| rest));
    }
    let bare = word.trim_end_matches(['h', 'm', 's', ',']);
    if bare.len() < word.len() && bare.starts_with(digits) && bare.ends_with(digits) {
        return "AGE".into();
    }
    word.to_owned()
}
