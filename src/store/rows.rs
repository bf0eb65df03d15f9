//! Every statement of the store: entries into rows and rows back into values.

use rusqlite::types::Type;
use rusqlite::{Connection, Error as SqlError, Result as SqlResult, Row, params};
use serde::de::DeserializeOwned;

use crate::domain::{NotifierName, PolicyId, TargetName, UnixMs};
use crate::engine::intent::Intent;
use crate::engine::journal::{JournalEntry, PolicySnapshot, Restored, Transition};
use crate::engine::notice::Notice;

use super::error::{StoreError, is_refused_by_trigger};
use super::{Delivery, OutboxRow, Rollup, Write};

/// Nobody waits longer for the next attempt: a time beyond it was written under a wrong clock.
const LONGEST_WAIT_MS: i64 = 2 * 3_600_000;
const DAY_MS: u64 = 86_400_000;
const ROLLUP_DAYS: u64 = 14;
/// Notices nobody waits for any more, dead letters included.
const NOTICE_DAYS: u64 = 90;
/// History, and intents that have their outcome.
const JOURNAL_DAYS: u64 = 400;
/// Transitions kept whatever their age: a clock that once jumped ahead takes no history with it.
const TRANSITIONS_KEPT: i64 = 10_000;

/// Why one write failed: SQLite, or the entry itself.
pub(super) enum Failed {
    Sql(SqlError),
    Entry(StoreError),
}

impl From<SqlError> for Failed {
    fn from(error: SqlError) -> Failed {
        Failed::Sql(error)
    }
}

impl From<serde_json::Error> for Failed {
    fn from(error: serde_json::Error) -> Failed {
        Failed::Entry(StoreError::Encode(error.to_string()))
    }
}

pub(super) fn apply(conn: &Connection, write: &Write) -> Result<(), Failed> {
    match write {
        Write::Entry(entry) => put_entry(conn, entry),
        Write::Rollups(rows) => put_rollups(conn, rows),
        Write::Outbox { id, result } => end_attempt(conn, *id, result),
    }
}

fn put_entry(conn: &Connection, entry: &JournalEntry) -> Result<(), Failed> {
    for transition in &entry.transitions {
        conn.prepare_cached("INSERT INTO transitions (at, policy, incident, kind, body) VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute(params![
                int(transition.at.0),
                transition.policy.as_ref().map(PolicyId::as_str),
                transition.incident.as_ref().map(|i| i.0.as_str()),
                serde_json::to_value(transition.kind)?.as_str(),
                serde_json::to_string(transition)?,
            ])?;
    }
    for intent in &entry.intents {
        put_intent(conn, intent)?;
    }
    for snapshot in &entry.snapshots {
        conn.prepare_cached("INSERT OR REPLACE INTO snapshots (policy, at, body) VALUES (?1, ?2, ?3)")?
            .execute(params![snapshot.policy.as_str(), int(snapshot.at.0), serde_json::to_string(snapshot)?])?;
    }
    for notice in &entry.notices {
        put_notice(conn, notice)?;
    }
    Ok(())
}

fn put_intent(conn: &Connection, intent: &Intent) -> Result<(), Failed> {
    let outcome = intent.outcome.as_ref().map(serde_json::to_string).transpose()?;
    let done = conn
        .prepare_cached(
            "INSERT INTO intents (id, policy, decided_at, outcome, body) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (id) DO UPDATE SET outcome = excluded.outcome, body = excluded.body",
        )?
        .execute(params![
            intent.id.0,
            intent.policy.as_str(),
            int(intent.decided_at.0),
            outcome,
            serde_json::to_string(intent)?,
        ]);
    match done {
        Ok(_) => Ok(()),
        Err(e) if is_refused_by_trigger(&e) => {
            Err(Failed::Entry(StoreError::SecondOutcome { intent: intent.id.0.clone() }))
        }
        Err(e) => Err(e.into()),
    }
}

/// A notice id already known was queued before; it is not queued again.
fn put_notice(conn: &Connection, notice: &Notice) -> Result<(), Failed> {
    let fresh = conn
        .prepare_cached("INSERT OR IGNORE INTO notices (id, at, body) VALUES (?1, ?2, ?3)")?
        .execute(params![notice.id, int(notice.at.0), serde_json::to_string(notice)?])?;
    if fresh == 1 {
        for notifier in &notice.to {
            conn.prepare_cached("INSERT OR IGNORE INTO outbox (notice, notifier, first_at) VALUES (?1, ?2, ?3)")?
                .execute(params![notice.id, notifier.as_str(), int(notice.at.0)])?;
        }
    }
    Ok(())
}

fn put_rollups(conn: &Connection, rows: &[Rollup]) -> Result<(), Failed> {
    for row in rows {
        conn.prepare_cached(
            "INSERT INTO rollups VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT (policy, target, minute) DO UPDATE SET
                up = up + excluded.up, down = down + excluded.down, unknown = unknown + excluded.unknown,
                latency_ms_sum = latency_ms_sum + excluded.latency_ms_sum,
                latency_ms_max = max(latency_ms_max, excluded.latency_ms_max)",
        )?
        .execute(params![
            row.policy.as_str(),
            row.target.as_str(),
            int(row.minute.0),
            row.up,
            row.down,
            row.unknown,
            int(row.latency_ms_sum),
            row.latency_ms_max,
        ])?;
    }
    Ok(())
}

fn end_attempt(conn: &Connection, id: i64, result: &Delivery) -> Result<(), Failed> {
    match result {
        Delivery::Delivered => conn.prepare_cached("DELETE FROM outbox WHERE id = ?1")?.execute(params![id])?,
        Delivery::Retry { at, error } => conn
            .prepare_cached(
                "UPDATE outbox SET attempts = attempts + 1, next_at = ?2, last_error = ?3 WHERE id = ?1 AND dead = 0",
            )?
            .execute(params![id, int(at.0), error])?,
        Delivery::Dead { error } => conn
            .prepare_cached("UPDATE outbox SET attempts = attempts + 1, dead = 1, last_error = ?2 WHERE id = ?1")?
            .execute(params![id, error])?,
    };
    Ok(())
}

/// Deletes what is past its retention as of `now`.
pub(super) fn prune(conn: &Connection, now: UnixMs) -> SqlResult<()> {
    let before = |days: u64| int(now.0.saturating_sub(days * DAY_MS));
    conn.execute("DELETE FROM rollups WHERE minute < ?1", params![before(ROLLUP_DAYS)])?;
    conn.execute(
        "DELETE FROM notices WHERE at < ?1
         AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.notice = notices.id AND outbox.dead = 0)",
        params![before(NOTICE_DAYS)],
    )?;
    conn.execute(
        "DELETE FROM transitions WHERE id <= (SELECT max(id) FROM transitions) - ?2 AND at < ?1",
        params![before(JOURNAL_DAYS), TRANSITIONS_KEPT],
    )?;
    conn.execute("DELETE FROM intents WHERE outcome IS NOT NULL AND decided_at < ?1", params![before(JOURNAL_DAYS)])?;
    Ok(())
}

pub(super) fn restored(conn: &Connection) -> SqlResult<Restored> {
    Ok(Restored { snapshots: snapshots(conn)?, open_intents: open_intents(conn)? })
}

pub(super) fn snapshots(conn: &Connection) -> SqlResult<Vec<PolicySnapshot>> {
    conn.prepare_cached("SELECT body FROM snapshots ORDER BY policy")?.query_map([], |r| json(r, 0))?.collect()
}

pub(super) fn open_intents(conn: &Connection) -> SqlResult<Vec<Intent>> {
    conn.prepare_cached("SELECT body FROM intents WHERE outcome IS NULL ORDER BY decided_at, id")?
        .query_map([], |r| json(r, 0))?
        .collect()
}

/// Newest first. A row that cannot be read is left out: the others are worth more than an error.
pub(super) fn history(conn: &Connection, policy: Option<&PolicyId>, limit: u32) -> SqlResult<Vec<Transition>> {
    let text = |r: &Row<'_>| r.get::<_, String>(0);
    let bodies: Vec<String> = match policy {
        Some(policy) => conn
            .prepare_cached("SELECT body FROM transitions WHERE policy = ?1 ORDER BY id DESC LIMIT ?2")?
            .query_map(params![policy.as_str(), limit], text)?
            .collect::<SqlResult<_>>()?,
        None => conn
            .prepare_cached("SELECT body FROM transitions ORDER BY id DESC LIMIT ?1")?
            .query_map(params![limit], text)?
            .collect::<SqlResult<_>>()?,
    };
    Ok(bodies.iter().filter_map(|body| serde_json::from_str(body).ok()).collect())
}

/// Errors when a notice that still has to be told cannot be read.
pub(super) fn check_outbox(conn: &Connection) -> SqlResult<()> {
    conn.prepare("SELECT body FROM notices WHERE id IN (SELECT notice FROM outbox WHERE dead = 0)")?
        .query_map([], |r| json::<Notice>(r, 0))?
        .try_for_each(|notice| notice.map(drop))
}

/// The oldest undelivered row of each notifier, if it is due: a later notice never overtakes an earlier one.
pub(super) fn outbox_due(conn: &Connection, now: UnixMs, limit: u32) -> SqlResult<Vec<OutboxRow>> {
    conn.prepare_cached(
        "SELECT o.id, o.notifier, n.body, o.attempts, o.first_at, o.next_at
         FROM outbox o JOIN notices n ON n.id = o.notice
         WHERE o.id IN (SELECT min(id) FROM outbox WHERE dead = 0 GROUP BY notifier)
         AND o.next_at NOT BETWEEN ?1 + 1 AND ?1 + ?3
         ORDER BY o.id LIMIT ?2",
    )?
    .query_map(params![int(now.0), limit, LONGEST_WAIT_MS], |r| {
        Ok(OutboxRow {
            id: r.get(0)?,
            notifier: name(r, 1, NotifierName::new)?,
            notice: json(r, 2)?,
            attempts: r.get(3)?,
            first_at: UnixMs(uint(r.get(4)?)),
            next_at: UnixMs(uint(r.get(5)?)),
        })
    })?
    .collect()
}

/// When the next row that is not due yet becomes due.
pub(super) fn outbox_next(conn: &Connection, now: UnixMs) -> SqlResult<Option<UnixMs>> {
    let at: Option<i64> = conn
        .prepare_cached(
            "SELECT min(next_at) FROM outbox
             WHERE id IN (SELECT min(id) FROM outbox WHERE dead = 0 GROUP BY notifier) AND next_at > ?1",
        )?
        .query_row(params![int(now.0)], |r| r.get(0))?;
    Ok(at.map(|ms| UnixMs(uint(ms))))
}

pub(super) fn outbox_count(conn: &Connection, dead: bool) -> SqlResult<u64> {
    conn.prepare_cached("SELECT count(*) FROM outbox WHERE dead = ?1")?.query_row([dead], |r| r.get(0)).map(uint)
}

/// Oldest first.
pub(super) fn rollups(conn: &Connection, policy: &PolicyId, since: UnixMs) -> SqlResult<Vec<Rollup>> {
    conn.prepare_cached(
        "SELECT target, minute, up, down, unknown, latency_ms_sum, latency_ms_max FROM rollups
         WHERE policy = ?1 AND minute >= ?2 ORDER BY minute, target",
    )?
    .query_map(params![policy.as_str(), int(since.0)], |r| {
        Ok(Rollup {
            policy: policy.clone(),
            target: name(r, 0, TargetName::new)?,
            minute: UnixMs(uint(r.get(1)?)),
            up: r.get(2)?,
            down: r.get(3)?,
            unknown: r.get(4)?,
            latency_ms_sum: uint(r.get(5)?),
            latency_ms_max: r.get(6)?,
        })
    })?
    .collect()
}

fn json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> SqlResult<T> {
    let text = row.get_ref(column)?.as_str()?;
    serde_json::from_str(text).map_err(|e| unreadable(column, e))
}

fn name<T, E>(row: &Row<'_>, column: usize, make: impl Fn(&str) -> Result<T, E>) -> SqlResult<T>
where
    E: std::error::Error + Send + Sync + 'static,
{
    make(row.get_ref(column)?.as_str()?).map_err(|e| unreadable(column, e))
}

fn unreadable(column: usize, error: impl std::error::Error + Send + Sync + 'static) -> SqlError {
    SqlError::FromSqlConversionFailure(column, Type::Text, Box::new(error))
}

/// SQLite's integers are signed; no time or count of ours comes near the limit.
fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn uint(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
