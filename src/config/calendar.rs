//! Cron expressions and opening hours: what the `cron` crate leaves open is decided here.
//!
//! Five fields mean "at second 0"; weekdays go by name, because numbers start the week on
//! Sunday = 1 in the crate and on Sunday = 0 elsewhere; what never fires is refused. A firing
//! inside a daylight-saving gap happens at the first instant after the gap; one inside an
//! overlap happens once, the first time. Pure: no clock is read here.

use std::time::Duration;

use chrono::{DateTime, Datelike, LocalResult, NaiveDateTime, TimeZone, Utc};
use chrono_tz::Tz;

use super::rule::{Advice, advise};
use crate::domain::{UnixMs, Window};

/// From here on a schedule must fire at least once in [`HORIZON`]; any date would do.
const REFERENCE: UnixMs = UnixMs(1_767_225_600_000);
/// 29 February on a given weekday returns after 28 years at most, 40 around the year 2100.
const HORIZON: Duration = Duration::from_secs(40 * 366 * 86_400);
/// A window that stays open longer than this has no edge worth waiting for.
const ALWAYS: Duration = Duration::from_secs(400 * 86_400);
/// Most firings looked at to find one edge.
const STEPS: usize = 100_000;

/// A cron expression in a time zone, proven to fire.
#[derive(Clone, Debug)]
pub struct Schedule {
    cron: cron::Schedule,
    zone: Tz,
}

/// When optional moves may happen.
#[derive(Clone, Debug)]
pub struct OpenHours {
    schedule: Schedule,
    duration: Duration,
}

impl Schedule {
    /// Reads five or six fields and an IANA zone name.
    pub fn new(expression: &str, timezone_name: &str) -> Result<Schedule, Advice> {
        Ok(Schedule { cron: parse(expression)?, zone: timezone(timezone_name)? })
    }
}

impl OpenHours {
    /// Errors only for a window that was not made by the reader of the configuration.
    pub fn new(window: &Window) -> Result<OpenHours, Advice> {
        Ok(OpenHours { schedule: Schedule::new(&window.cron, &window.timezone)?, duration: window.duration })
    }
}

/// The first firing strictly after `after`.
pub fn next_after(schedule: &Schedule, after: UnixMs) -> Option<UnixMs> {
    let local = at(after)?.with_timezone(&schedule.zone).naive_local();
    let from = Utc.from_utc_datetime(&local);
    schedule.cron.after(&from).take(STEPS).find_map(|firing| {
        let instant = instant_of(schedule.zone, firing.naive_utc())?;
        (instant > after).then_some(instant)
    })
}

/// Whether some firing lies within the window's duration before `now`, or at it.
pub fn is_open_at(hours: &OpenHours, now: UnixMs) -> bool {
    let Some(length) = millis(hours.duration) else { return false };
    next_after(&hours.schedule, UnixMs(now.0.saturating_sub(length))).is_some_and(|start| start <= now)
}

/// The next time the window opens (`true`) or closes (`false`) strictly after `after`; windows
/// that touch or overlap are one. `None` when it stays as it is.
pub fn next_edge(hours: &OpenHours, after: UnixMs) -> Option<(UnixMs, bool)> {
    if !is_open_at(hours, after) {
        return next_after(&hours.schedule, after).map(|start| (start, true));
    }
    let length = millis(hours.duration)?;
    let mut start = next_after(&hours.schedule, UnixMs(after.0.saturating_sub(length)))?;
    for _ in 0..STEPS {
        let end = start + hours.duration;
        match next_after(&hours.schedule, start) {
            Some(next) if next <= end => start = next,
            _ => return Some((end, false)),
        }
        if start.since(after) > ALWAYS {
            return None;
        }
    }
    None
}

/// Whether an expression is one that fires.
pub fn cron(expression: &str) -> Result<(), Advice> {
    parse(expression).map(drop)
}

pub fn timezone(name: &str) -> Result<Tz, Advice> {
    if let Ok(zone) = name.parse::<Tz>() {
        return Ok(zone);
    }
    let near = chrono_tz::TZ_VARIANTS
        .iter()
        .map(|zone| (strsim::jaro_winkler(&zone.name().to_ascii_lowercase(), &name.to_ascii_lowercase()), zone.name()))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let fix = match near {
        Some((score, zone)) if score > 0.85 => format!("did you mean `{zone}`?"),
        _ => "write an IANA name such as `Europe/Berlin`, `America/New_York` or `UTC`".into(),
    };
    advise(format!("`{name}` is no time zone"), fix)
}

/// Six fields with single spaces; the second is 0 when five are given. Of a text that was
/// checked already, this is all that is left to do.
pub fn canonical(expression: &str) -> String {
    let fields: Vec<&str> = expression.split_whitespace().collect();
    if fields.len() == 5 { format!("0 {}", fields.join(" ")) } else { fields.join(" ") }
}

fn parse(expression: &str) -> Result<cron::Schedule, Advice> {
    let fields: Vec<&str> = expression.split_whitespace().collect();
    if !matches!(fields.len(), 5 | 6) {
        return advise(
            format!("`{expression}` has {} fields", fields.len()),
            "write five (minute hour day month weekday) or six with seconds in front, for example `0 9 * * Mon-Fri`",
        );
    }
    let full = canonical(expression);
    if let Some(weekday) = fields.last().filter(|w| w.bytes().any(|b| b.is_ascii_digit())) {
        return advise(
            format!("weekday `{weekday}` is a number, and tools disagree on where the week starts"),
            format!("use names: {}", named(weekday)),
        );
    }
    let Ok(schedule) = full.parse::<cron::Schedule>() else {
        return advise(
            format!("`{expression}` is no cron expression"),
            "write numbers, `*`, lists `1,2`, ranges `1-5` and steps `*/5`, for example `*/5 * * * *`; weekdays and months by name",
        );
    };
    let utc = Schedule { cron: schedule.clone(), zone: Tz::UTC };
    match next_after(&utc, REFERENCE) {
        Some(first) if first.since(REFERENCE) < HORIZON => Ok(schedule),
        _ => advise(format!("`{expression}` never fires"), "choose a day that its month has"),
    }
}

/// Names for the weekday numbers of crontab(5), where 0 and 7 are Sunday.
fn named(weekday: &str) -> String {
    const NAMES: [&str; 8] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    if weekday.contains('/') {
        return "`Mon,Wed,Fri`".into();
    }
    let translated: String = weekday
        .chars()
        .map(|c| match c.to_digit(10).and_then(|d| NAMES.get(d as usize)) {
            Some(name) => (*name).to_owned(),
            None => c.to_string(),
        })
        .collect();
    format!("`{translated}` if you meant crontab's numbers, where 1 is Monday")
}

fn at(time: UnixMs) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(i64::try_from(time.0).ok()?)
}

/// The instant a local time means: the earlier of two, the end of the gap for none.
fn instant_of(zone: Tz, local: NaiveDateTime) -> Option<UnixMs> {
    let found = match zone.from_local_datetime(&local) {
        LocalResult::Single(t) | LocalResult::Ambiguous(t, _) => t.with_timezone(&Utc),
        LocalResult::None => end_of_gap(zone, local)?,
    };
    u64::try_from(found.timestamp_millis()).ok().map(UnixMs)
}

/// Searches the transition between a day before and a day after the missing local time.
fn end_of_gap(zone: Tz, local: NaiveDateTime) -> Option<DateTime<Utc>> {
    let guess = Utc.from_utc_datetime(&local).timestamp();
    let naive = |secs: i64| DateTime::from_timestamp(secs, 0).map(|t| t.with_timezone(&zone).naive_local());
    let (mut before, mut after) = (guess - 86_400, guess + 86_400);
    while after - before > 1 {
        let middle = before + (after - before) / 2;
        if naive(middle)? < local { before = middle } else { after = middle }
    }
    DateTime::from_timestamp(after, 0)
}

fn millis(duration: Duration) -> Option<u64> {
    u64::try_from(duration.as_millis()).ok()
}

/// A date for people, in the schedule's own zone, with the weekday.
pub fn describe(schedule: &Schedule, time: UnixMs) -> String {
    match at(time) {
        Some(utc) => {
            let local = utc.with_timezone(&schedule.zone);
            format!("{} {}", local.weekday(), local.format("%Y-%m-%d %H:%M:%S %Z"))
        }
        None => time.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(text: &str) -> UnixMs {
        let t = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").unwrap();
        UnixMs(t.and_utc().timestamp_millis() as u64)
    }

    fn hours(cron: &str, secs: u64, timezone: &str) -> OpenHours {
        let window = Window { cron: cron.into(), duration: Duration::from_secs(secs), timezone: timezone.into() };
        OpenHours::new(&window).unwrap()
    }

    #[test]
    fn a_firing_in_a_gap_moves_to_its_end_and_one_in_an_overlap_happens_once() {
        // In 2026 New York changes on 8 March and 1 November, Berlin on 29 March and 25 October.
        let table = [
            ("30 2 * * *", "America/New_York", "2026-03-07 20:00:00", "2026-03-08 07:00:00", "gap: 03:00 EDT"),
            ("30 2 * * *", "America/New_York", "2026-03-08 07:00:00", "2026-03-09 06:30:00", "next day: 02:30 EDT"),
            (
                "*/10 2 * * *",
                "America/New_York",
                "2026-03-08 07:00:00",
                "2026-03-09 06:00:00",
                "one firing for the gap",
            ),
            ("30 1 * * *", "America/New_York", "2026-10-31 20:00:00", "2026-11-01 05:30:00", "overlap: 01:30 EDT"),
            ("30 1 * * *", "America/New_York", "2026-11-01 05:30:00", "2026-11-02 06:30:00", "not again at 01:30 EST"),
            ("30 2 * * *", "Europe/Berlin", "2026-03-28 20:00:00", "2026-03-29 01:00:00", "gap: 03:00 CEST"),
            ("30 2 * * *", "Europe/Berlin", "2026-10-24 20:00:00", "2026-10-25 00:30:00", "overlap: 02:30 CEST"),
            ("30 2 * * *", "Europe/Berlin", "2026-10-25 00:30:00", "2026-10-26 01:30:00", "not again at 02:30 CET"),
            ("0 9 * * Mon-Fri", "Europe/Berlin", "2026-01-02 08:00:00", "2026-01-05 08:00:00", "over the weekend"),
            ("0 0 29 2 *", "UTC", "2026-01-01 00:00:00", "2028-02-29 00:00:00", "leap day"),
        ];
        for (cron, zone, after, expected, why) in table {
            let schedule = Schedule::new(cron, zone).unwrap();
            assert_eq!(next_after(&schedule, utc(after)), Some(utc(expected)), "{cron} {zone}: {why}");
        }
    }

    #[test]
    fn a_window_has_an_edge_where_it_opens_and_where_it_closes() {
        let office = hours("0 0 9 * * Mon-Fri", 8 * 3600, "Europe/Berlin");
        for (at, open, edge, opens) in [
            ("2026-01-05 07:59:59", false, "2026-01-05 08:00:00", true),
            ("2026-01-05 08:00:00", true, "2026-01-05 16:00:00", false),
            ("2026-01-05 15:59:59", true, "2026-01-05 16:00:00", false),
            ("2026-01-05 16:00:00", false, "2026-01-06 08:00:00", true),
            ("2026-01-09 18:00:00", false, "2026-01-12 08:00:00", true),
            ("2026-07-01 07:00:00", true, "2026-07-01 15:00:00", false),
        ] {
            assert_eq!(is_open_at(&office, utc(at)), open, "{at}");
            assert_eq!(next_edge(&office, utc(at)), Some((utc(edge), opens)), "{at}");
        }
    }

    #[test]
    fn windows_that_touch_are_one_and_one_that_never_closes_has_no_edge() {
        let touching = hours("0 9,10 * * *", 3600, "UTC");
        assert_eq!(next_edge(&touching, utc("2026-01-05 09:30:00")), Some((utc("2026-01-05 11:00:00"), false)));
        let always = hours("0 0 * * *", 86_400, "UTC");
        assert!(is_open_at(&always, utc("2026-01-05 09:30:00")));
        assert_eq!(next_edge(&always, utc("2026-01-05 09:30:00")), None);
    }

    #[test]
    fn what_the_crate_would_misread_is_refused_with_the_right_spelling() {
        for (bad, fix) in [
            ("0 9 * * 1-5", "`Mon-Fri` if you meant crontab's numbers, where 1 is Monday"),
            ("0 9 * * 0,6", "`Sun,Sat`"),
            ("0 9 * * */2", "Mon,Wed,Fri"),
            ("0 0 31 2 *", "choose a day that its month has"),
            ("0 9 * *", "write five"),
            ("0 0 9 * * Mon 2020", "write five"),
            ("@daily", "write five"),
            ("0 99 * * *", "write numbers"),
            ("0 9 * * Mob", "write numbers"),
        ] {
            let advice = parse(bad).unwrap_err();
            assert!(advice.fix.contains(fix), "{bad}: {advice:?}");
        }
        assert_eq!(canonical(" 0  9 * * Mon-Fri"), "0 0 9 * * Mon-Fri");
        assert!(cron(&canonical(" 0  9 * * Mon-Fri")).is_ok());
        assert_eq!(timezone("Europe/Berln").unwrap_err().fix, "did you mean `Europe/Berlin`?");
    }
}
