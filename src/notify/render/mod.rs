//! Notices as receivers want them. PURE: the same notice gives the same bytes.

mod slack;
mod text;
mod webhook;

pub use slack::slack;
pub use webhook::webhook;

use crate::engine::notice::{NoticeKind, Place};

/// Each region of a place once, in the order of its targets.
fn regions(place: &Place) -> Vec<String> {
    let mut regions: Vec<String> = Vec::new();
    for region in place.regions.iter().map(ToString::to_string) {
        if !regions.contains(&region) {
            regions.push(region);
        }
    }
    regions
}

/// Name of a kind as the wire has it, e.g. `move_unverified`; part of the contract with scripts.
fn kind_name(kind: NoticeKind) -> &'static str {
    match kind {
        NoticeKind::Moving => "moving",
        NoticeKind::Moved => "moved",
        NoticeKind::MoveUnverified => "move_unverified",
        NoticeKind::MoveContradicted => "move_contradicted",
        NoticeKind::Refused => "refused",
        NoticeKind::TargetDown => "target_down",
        NoticeKind::TargetUp => "target_up",
        NoticeKind::Blind => "blind",
        NoticeKind::Sighted => "sighted",
        NoticeKind::Drift => "drift",
        NoticeKind::DriftGone => "drift_gone",
        NoticeKind::Locked => "locked",
        NoticeKind::Frozen => "frozen",
        NoticeKind::Unfrozen => "unfrozen",
        NoticeKind::Acked => "acked",
        NoticeKind::Adopted => "adopted",
        NoticeKind::FenceTrouble => "fence_trouble",
        NoticeKind::FenceFine => "fence_fine",
        NoticeKind::ApiTrouble => "api_trouble",
        NoticeKind::ApiFine => "api_fine",
        NoticeKind::StoreTrouble => "store_trouble",
        NoticeKind::StoreFine => "store_fine",
        NoticeKind::Draining => "draining",
        NoticeKind::Drained => "drained",
        NoticeKind::Undrained => "undrained",
        NoticeKind::Forced => "forced",
        NoticeKind::Released => "released",
        NoticeKind::TakenOver => "taken_over",
        NoticeKind::FleetFrozen => "fleet_frozen",
        NoticeKind::FleetUnfrozen => "fleet_unfrozen",
        NoticeKind::WriteRefused => "write_refused",
        NoticeKind::Obstacle => "obstacle",
        NoticeKind::ObstacleGone => "obstacle_gone",
        NoticeKind::RehearsalFailed => "rehearsal_failed",
        NoticeKind::RehearsalFine => "rehearsal_fine",
        NoticeKind::NotifierTrouble => "notifier_trouble",
        NoticeKind::Test => "test",
    }
}
