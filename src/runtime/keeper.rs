//! Where a controller keeps what must survive it, behind one seam.
//!
//! The loop hands an entry over and goes on; the answer comes back as an event. A `plan` keeps
//! nothing: it has no state file of its own and must not touch another's.

use futures_util::future::BoxFuture;

use crate::engine::journal::JournalEntry;
use crate::engine::notice::Notice;

use super::rollup::Row;

/// Called once, when an entry is on disk or surely not.
pub type Done = Box<dyn FnOnce(Result<(), String>) + Send>;

pub trait Keeper: Send + Sync + 'static {
    /// Queues one journal entry; never blocks. `done` runs on another thread.
    fn commit(&self, seq: u64, entry: JournalEntry, done: Done);

    /// Queues the counts of one finished minute; losing them is no error.
    fn rollups(&self, rows: Vec<Row>);

    /// Notices that could not be stored, to be sent without an outbox.
    fn tell_directly(&self, notices: Vec<Notice>);

    /// Ends when everything queued so far is on disk.
    fn flush(&self) -> BoxFuture<'_, ()>;
}

/// Says yes to everything and remembers nothing.
pub struct Forgetful;

impl Keeper for Forgetful {
    fn commit(&self, _seq: u64, _entry: JournalEntry, done: Done) {
        done(Ok(()));
    }

    fn rollups(&self, _rows: Vec<Row>) {}

    fn tell_directly(&self, _notices: Vec<Notice>) {}

    fn flush(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}
