//! What can go wrong with the state file, said so that a person knows what to type next.

use std::path::{Path, PathBuf};

use rusqlite::{Error as SqlError, ErrorCode, ffi};

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    #[error("the store has {queued} requests waiting and takes no more until the disk catches up")]
    Busy { queued: usize },
    #[error("the store is closed")]
    Closed,
    #[error("no space left for the state file {}: free space on its file system", path.display())]
    Full { path: PathBuf },
    #[error("the state file {} cannot be written ({detail}): make it and its directory writable for this user", path.display())]
    ReadOnly { path: PathBuf, detail: String },
    #[error("the state file {} is locked by another program ({detail}): close it", path.display())]
    Locked { path: PathBuf, detail: String },
    #[error("the state file {} cannot be opened: {detail}", path.display())]
    Open { path: PathBuf, detail: String },
    #[error("the state file {} is damaged ({detail}): restart failoverd, it moves the file aside and makes a new one", path.display())]
    Corrupt { path: PathBuf, detail: String },
    #[error(
        "the state file {} has version {found}, this failoverd knows up to {known}: run the newer failoverd, \
         or give this one its own file with `state = \"…\"`", path.display()
    )]
    Newer { path: PathBuf, found: i64, known: i64 },
    #[error(
        "the state file {} has the older version {found}, current is {known}: start `failoverd run` or `once`, \
         which brings it up to date", path.display()
    )]
    Older { path: PathBuf, found: i64, known: i64 },
    #[error("{} is a database of another program: give failoverd its own file with `state = \"…\"`", path.display())]
    NotOurs { path: PathBuf },
    /// Invariant I11.
    #[error("intent {intent} already has another outcome; the second one was refused")]
    SecondOutcome { intent: String },
    #[error("the state file {} failed: {detail}", path.display())]
    Io { path: PathBuf, detail: String },
    #[error("cannot be stored: {0}")]
    Encode(String),
}

/// Results of SQLite that no disk and no other program can be the reason for.
const NOT_WHAT_WE_MADE: [i32; 5] =
    [ffi::SQLITE_ERROR, ffi::SQLITE_SCHEMA, ffi::SQLITE_CONSTRAINT, ffi::SQLITE_MISMATCH, ffi::SQLITE_FORMAT];

impl StoreError {
    /// True when the same call may succeed later without a person's hand.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            StoreError::Busy { .. } | StoreError::Full { .. } | StoreError::Locked { .. } | StoreError::Io { .. }
        )
    }

    /// True when only the one entry is at fault, not the database.
    pub(super) fn is_of_entry(&self) -> bool {
        matches!(self, StoreError::SecondOutcome { .. } | StoreError::Encode(_))
    }

    pub(super) fn from_sql(path: &Path, error: &SqlError) -> StoreError {
        let path = path.to_path_buf();
        let detail = error.to_string();
        match error {
            SqlError::FromSqlConversionFailure(..)
            | SqlError::InvalidColumnType(..)
            | SqlError::IntegralValueOutOfRange(..)
            | SqlError::Utf8Error(..) => return StoreError::Corrupt { path, detail },
            // Our statements are right: what they are said to is not what we made.
            SqlError::SqlInputError { msg, .. } => return StoreError::Corrupt { path, detail: msg.clone() },
            _ if error.sqlite_error().is_some_and(|e| NOT_WHAT_WE_MADE.contains(&(e.extended_code & 0xff))) => {
                return StoreError::Corrupt { path, detail };
            }
            _ => {}
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => StoreError::Full { path },
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => StoreError::ReadOnly { path, detail },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Locked { path, detail },
            Some(ErrorCode::CannotOpen) => StoreError::Open { path, detail },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Corrupt { path, detail },
            _ => StoreError::Io { path, detail },
        }
    }
}

/// True when a trigger of the schema refused the statement.
pub(super) fn is_refused_by_trigger(error: &SqlError) -> bool {
    error.sqlite_error().is_some_and(|e| e.extended_code == ffi::SQLITE_CONSTRAINT_TRIGGER)
}
