//! The engine under generated input: values that must read back, plans that must not be empty, and
//! whole fleets that are told anything in any order. The configuration's properties stand in
//! `tests/it/config/properties.rs`; one table counts the cases of both.

pub mod cases;
mod drive;
mod policies;
mod values;

use std::path::Path;

#[test]
fn the_properties_are_tried_a_hundred_thousand_times() {
    let sum: u32 = cases::CASES.iter().map(|(_, cases)| cases).sum();
    println!("{sum} cases of {} properties", cases::CASES.len());
    assert!(sum >= cases::LEAST, "{sum}");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let rooms = ["sim/properties/drive.rs", "sim/properties/values.rs", "it/config/properties.rs"];
    let text: String = rooms.iter().map(|room| std::fs::read_to_string(root.join(room)).unwrap()).collect();
    for (name, _) in cases::CASES {
        assert_eq!(text.matches(&format!("fn {name}()")).count(), 1, "{name} is counted and not tried");
        assert_eq!(text.matches(&format!("\"{name}\"")).count(), 1, "{name} is tried under another name");
    }
}
