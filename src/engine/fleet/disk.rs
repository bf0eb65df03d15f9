//! What the store says of journal entries: what waited for them goes on, what a refused one said goes with the next.
//! Never writes: the store does.

use std::time::Duration;

use crate::domain::Now;

use super::super::action::Action;
use super::super::intent::Intent;
use super::super::journal::{JournalEntry, TransitionKind};
use super::super::notice::{NoticeKind, Severity};
use super::super::switch;
use super::Fleet;
use super::reload::LeftOut;

/// How often a broken store is tried again.
const STORE_RETRY: Duration = Duration::from_secs(10);

impl Fleet {
    /// An entry was refused.
    pub(super) fn store_failed(&mut self, now: Now, out: &mut Vec<Action>, seq: u64, error: String) {
        self.answer_lost(out, seq, &error);
        if let Some(idx) = self.shared.waiting.remove(&seq) {
            self.with(idx, now, out, |p, cx| switch::not_persisted(p, cx, seq));
        }
        for intent in self.shared.unsaved.remove(&seq).unwrap_or_default() {
            // A newer word about it is on its way. One that could not be made durable and was given up never existed.
            // A full queue refuses at once what is younger than all it holds.
            let newer =
                self.shared.unsaved.range(seq..).flat_map(|(_, later)| later).any(|later| later.id == intent.id);
            if !newer && (intent.outcome.is_some() || self.states().any(|(_, p)| p.is_under_way(&intent.id))) {
                self.shared.missed.insert(intent.id.clone(), intent);
            }
        }
        self.store_retry = Some(now.mono + STORE_RETRY);
        // What was refused now is in no trial under way.
        self.store_trial = None;
        if self.shared.store_broken.replace(error.clone()).is_none() {
            let next = "no automatic write until it works; probing goes on";
            let notice = (NoticeKind::StoreTrouble, Severity::Critical, "the state cannot be written", next);
            self.journal(now, out, TransitionKind::StoreTrouble, error, Some(notice), None);
        }
    }

    /// An entry is on the disk.
    pub(super) fn persisted(&mut self, now: Now, out: &mut Vec<Action>, seq: u64) {
        self.answer_kept(out, seq);
        self.shared.unsaved.remove(&seq);
        let is_broken = self.shared.store_broken.is_some();
        if is_broken && self.store_trial.is_none() {
            // A small entry may get through where a large one does not, and what was refused is on no disk yet.
            self.persist_all(now, out);
        } else if is_broken && self.store_trial == Some(seq) {
            self.shared.store_broken = None;
            self.store_retry = None;
            self.store_trial = None;
            let notice = (
                NoticeKind::StoreFine,
                Severity::Info,
                "the state can be written again",
                "automatic writes are possible again",
            );
            self.journal(
                now,
                out,
                TransitionKind::StoreFine,
                "the state can be written again".into(),
                Some(notice),
                None,
            );
            self.with_all(now, out, |_, _| ());
        }
        if let Some(idx) = self.shared.waiting.remove(&seq) {
            self.with(idx, now, out, |p, cx| switch::persisted(p, cx, seq));
        }
    }

    /// A broken store is tried with the snapshots it missed.
    pub(super) fn retry_store(&mut self, now: Now, out: &mut Vec<Action>) {
        if self.shared.store_broken.is_some() && self.store_retry.is_some_and(|at| at <= now.mono) {
            self.store_retry = Some(now.mono + STORE_RETRY);
            if self.store_trial.is_none() {
                self.persist_all(now, out);
            }
        }
    }

    fn persist_all(&mut self, now: Now, out: &mut Vec<Action>) {
        let gone = self.left_out.iter().filter_map(LeftOut::unsaved).cloned();
        let snapshots = self.states().map(|(_, p)| p.snapshot(now)).chain(gone).collect();
        let entry = JournalEntry { snapshots, intents: self.missed(), ..JournalEntry::default() };
        self.store_trial = Some(self.persist(out, entry));
    }

    /// What refused entries said of intents, as it is now.
    fn missed(&mut self) -> Vec<Intent> {
        std::mem::take(&mut self.shared.missed).into_values().collect()
    }
}
