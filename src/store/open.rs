//! Brings a state file to the present schema, or says why not. A damaged file is moved aside,
//! never deleted; a file of a newer version or of another program is never touched.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, MAIN_DB, OpenFlags, OptionalExtension};

use crate::domain::UnixMs;
use crate::engine::journal::Restored;

use super::error::StoreError;
use super::{owner, rows};

/// Append only: a released migration is never edited. `user_version` counts those applied.
pub(super) const MIGRATIONS: [&str; 3] = [
    include_str!("migrations/0001_journal.sql"),
    include_str!("migrations/0002_outbox.sql"),
    include_str!("migrations/0003_rollups.sql"),
];

/// `fovd` in ASCII.
const APPLICATION_ID: i64 = 0x666f_7664;

/// Tables of every version of ours.
const OURS: [&str; 4] = ["meta", "intents", "transitions", "snapshots"];

/// How long a statement waits for a reader of another process.
const BUSY: Duration = Duration::from_secs(5);

pub(super) struct Ready {
    pub conn: Connection,
    pub restored: Restored,
    pub note: Option<String>,
    pub damaged: bool,
}

pub(super) fn file(path: &Path, now: UnixMs) -> Result<Ready, StoreError> {
    let fresh = match fs::metadata(path) {
        Ok(meta) if meta.is_dir() => return Err(cannot_open(path, "it is a directory")),
        Ok(meta) => meta.len() == 0,
        Err(_) => true,
    };
    if fresh && let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty() && !p.is_dir()) {
        let parent = parent.display();
        return Err(cannot_open(path, &format!("the directory {parent} does not exist: mkdir -p {parent}")));
    }
    match prepare(path, now) {
        Ok((conn, restored)) => {
            let note = fresh.then(|| {
                format!("no state file at {}: made a new one; brakes and epochs come from the zone", path.display())
            });
            Ok(Ready { conn, restored, note, damaged: false })
        }
        Err(StoreError::Corrupt { detail, .. }) => {
            let aside = move_aside(path, now)?;
            let (conn, restored) = prepare(path, now)?;
            let note = Some(format!(
                "the state file {} is damaged ({detail}): moved aside to {} and made a new one; \
                 brakes and epochs come from the zone, history starts anew",
                path.display(),
                aside.display()
            ));
            Ok(Ready { conn, restored, note, damaged: true })
        }
        Err(other) => Err(other),
    }
}

pub(super) fn memory(now: UnixMs) -> Result<Ready, StoreError> {
    let path = Path::new(":memory:");
    let mut conn = Connection::open_in_memory().map_err(|e| StoreError::from_sql(path, &e))?;
    bring_up_to_date(&mut conn, path, now)?;
    Ok(Ready { conn, restored: Restored::default(), note: None, damaged: false })
}

pub(super) fn read_only(path: &Path) -> Result<Connection, StoreError> {
    if !path.exists() {
        return Err(cannot_open(path, "there is no such file; `failoverd run` makes it"));
    }
    let sql = |e| StoreError::from_sql(path, &e);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags).map_err(sql)?;
    conn.busy_timeout(BUSY).map_err(sql)?;
    let (found, known) = version(&conn, path)?;
    if found < known {
        return Err(StoreError::Older { path: path.into(), found, known });
    }
    Ok(conn)
}

fn prepare(path: &Path, now: UnixMs) -> Result<(Connection, Restored), StoreError> {
    let sql = |e| StoreError::from_sql(path, &e);
    // SQLite gives its journal files to whom the database belongs.
    owner::make(path);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn = Connection::open_with_flags(path, flags).map_err(sql)?;
    bring_up_to_date(&mut conn, path, now)?;
    let restored = rows::restored(&conn).map_err(sql)?;
    rows::check_outbox(&conn).map_err(sql)?;
    Ok((conn, restored))
}

fn bring_up_to_date(conn: &mut Connection, path: &Path, now: UnixMs) -> Result<(), StoreError> {
    let sql = |e| StoreError::from_sql(path, &e);
    conn.busy_timeout(BUSY).map_err(sql)?;
    let (found, _) = version(conn, path)?;
    // SQLite opens a file it may not write without a word; say it now, not at the first commit.
    if conn.is_readonly(MAIN_DB).map_err(sql)? {
        if fs::OpenOptions::new().write(true).open(path).is_ok() {
            // Nothing keeps us from writing but a byte of its own header, which we never set.
            return Err(corrupt(path, "its header forbids to write it"));
        }
        return Err(StoreError::ReadOnly { path: path.into(), detail: "opened read-only".into() });
    }
    let verdict: String = conn.pragma_query_value(None, "quick_check", |r| r.get(0)).map_err(sql)?;
    if verdict != "ok" {
        return Err(corrupt(path, &first_line(&verdict)));
    }
    conn.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())).map_err(sql)?;
    conn.pragma_update(None, "synchronous", "FULL").map_err(sql)?;
    conn.pragma_update(None, "foreign_keys", true).map_err(sql)?;
    conn.pragma_update_and_check(None, "journal_size_limit", 16 * 1024 * 1024, |_| Ok(())).map_err(sql)?;
    for (number, migration) in (1i64..).zip(MIGRATIONS) {
        if number > found {
            migrate(conn, number, migration).map_err(sql)?;
        }
    }
    // A real write: whether the disk takes one is known before anything depends on it.
    conn.execute("INSERT OR REPLACE INTO meta VALUES ('opened_at', ?1)", [now.to_string()]).map_err(sql)?;
    note_version(conn, i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)).map_err(sql)?;
    rows::prune(conn, now).map_err(sql)
}

fn migrate(conn: &mut Connection, number: i64, migration: &str) -> rusqlite::Result<()> {
    let tx = conn.transaction()?;
    tx.execute_batch(migration)?;
    tx.pragma_update(None, "application_id", APPLICATION_ID)?;
    tx.pragma_update(None, "user_version", number)?;
    note_version(&tx, number)?;
    tx.commit()
}

/// The version once more, where one damaged byte of the header does not reach it.
fn note_version(conn: &Connection, number: i64) -> rusqlite::Result<()> {
    conn.execute("INSERT OR REPLACE INTO meta VALUES ('version', ?1)", [number.to_string()]).map(drop)
}

/// What the file says of its version beside its header; nothing in a file that was made before it was noted.
fn noted_version(conn: &Connection) -> rusqlite::Result<Option<i64>> {
    let known: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'meta'", [], |r| r.get(0))?;
    if known == 0 {
        return Ok(None);
    }
    let noted = conn.query_row("SELECT value FROM meta WHERE key = 'version'", [], |r| r.get::<_, String>(0));
    Ok(noted.optional()?.and_then(|text| text.parse().ok()))
}

/// (version found, version known); refuses a newer one and another program's file. A header that
/// says either of a file that is ours by its content is damaged.
fn version(conn: &Connection, path: &Path) -> Result<(i64, i64), StoreError> {
    let sql = |e| StoreError::from_sql(path, &e);
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    let found: i64 = conn.pragma_query_value(None, "user_version", |r| r.get(0)).map_err(sql)?;
    let app: i64 = conn.pragma_query_value(None, "application_id", |r| r.get(0)).map_err(sql)?;
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get(0)).map_err(sql)?;
    if app != APPLICATION_ID && (app != 0 || found != 0 || tables != 0) {
        let ours: i64 = conn
            .query_row(
                "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN (?1, ?2, ?3, ?4)",
                OURS,
                |r| r.get(0),
            )
            .map_err(sql)?;
        if ours == 4 {
            return Err(corrupt(path, "its header names another program, its tables are ours"));
        }
        return Err(StoreError::NotOurs { path: path.into() });
    }
    if let Some(noted) = noted_version(conn).map_err(sql)?.filter(|noted| *noted != found) {
        return Err(corrupt(path, &format!("its header says version {found}, its content {noted}")));
    }
    if !(0..=known).contains(&found) {
        return Err(StoreError::Newer { path: path.into(), found, known });
    }
    Ok((found, known))
}

/// Moves the database and its journal files to `<path>.corrupt-<unix>`; never onto an existing file.
fn move_aside(path: &Path, now: UnixMs) -> Result<PathBuf, StoreError> {
    let free = |n: u32| {
        let tail = if n == 0 { String::new() } else { format!("-{n}") };
        with_suffix(path, &format!(".corrupt-{}{tail}", now.secs()))
    };
    let aside = (0..1000).map(free).find(|p| !p.exists()).unwrap_or_else(|| free(1000));
    fs::rename(path, &aside).map_err(|e| {
        cannot_open(path, &format!("it is damaged and cannot be moved aside to {}: {e}", aside.display()))
    })?;
    for tail in ["-wal", "-shm"] {
        // Absent after a clean close; a leftover would be replayed into the new database.
        let from = with_suffix(path, tail);
        if from.exists() {
            fs::rename(&from, with_suffix(&aside, tail))
                .map_err(|e| cannot_open(path, &format!("{} cannot be moved aside: {e}", from.display())))?;
        }
    }
    Ok(aside)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn corrupt(path: &Path, detail: &str) -> StoreError {
    StoreError::Corrupt { path: path.into(), detail: detail.into() }
}

fn cannot_open(path: &Path, detail: &str) -> StoreError {
    StoreError::Open { path: path.into(), detail: detail.into() }
}

fn first_line(text: &str) -> String {
    text.lines().map(str::trim).find(|l| !l.is_empty()).unwrap_or("quick_check failed").chars().take(200).collect()
}
