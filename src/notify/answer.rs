//! What a receiver's HTTP answer means for the notice.

use std::time::Duration;

use crate::domain::UnixMs;

use super::SendResult;

/// A receiver may ask for this much patience at most.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// `said`: the start of the body, already without secrets.
pub(super) fn judge(status: u16, retry_after: Option<&str>, said: &str, now: UnixMs) -> SendResult {
    let quote = if said.is_empty() { String::new() } else { format!(": {said}") };
    let error = format!("HTTP {status}{quote}");
    match status {
        200..=299 => SendResult::Delivered,
        300..=399 => SendResult::Retry { after: None, error: format!("{error} (redirects are not followed)") },
        408 | 425 | 429 => SendResult::Retry { after: retry_after.and_then(|text| wait(text, now)), error },
        400..=499 => SendResult::Dead { error },
        _ => SendResult::Retry { after: retry_after.and_then(|text| wait(text, now)), error },
    }
}

/// `Retry-After`: whole seconds or an HTTP date (RFC 9110, section 10.2.3).
fn wait(text: &str, now: UnixMs) -> Option<Duration> {
    let text = text.trim();
    let asked = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = chrono::DateTime::parse_from_rfc2822(text).ok()?;
            UnixMs(u64::try_from(date.timestamp_millis()).ok()?).since(now)
        }
    };
    Some(asked.min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_leads_to_one_of_three_ends() {
        for status in [200, 201, 202, 204] {
            assert_eq!(judge(status, None, "ok", UnixMs(0)), SendResult::Delivered);
        }
        for status in [301, 302, 408, 425, 429, 500, 502, 503, 504, 599] {
            assert!(matches!(judge(status, None, "", UnixMs(0)), SendResult::Retry { .. }), "{status}");
        }
        for status in [400, 401, 403, 404, 405, 410, 413, 422] {
            let SendResult::Dead { error } = judge(status, None, "no_service", UnixMs(0)) else { panic!("{status}") };
            assert_eq!(error, format!("HTTP {status}: no_service"));
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_never_more_than_an_hour() {
        let now = UnixMs(1_445_412_480_000); // Wed, 21 Oct 2015 07:28:00 GMT
        for (text, seconds) in [
            ("30", Some(30)),
            (" 0 ", Some(0)),
            ("86400", Some(3600)),
            ("18446744073709551615", Some(3600)),
            ("Wed, 21 Oct 2015 07:28:45 GMT", Some(45)),
            ("Wed, 21 Oct 2015 07:00:00 GMT", Some(0)),
            ("Thu, 22 Oct 2015 07:28:00 GMT", Some(3600)),
            ("-1", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(wait(text, now), seconds.map(Duration::from_secs), "{text}");
        }
        let SendResult::Retry { after, .. } = judge(429, Some("30"), "", now) else { panic!() };
        assert_eq!(after, Some(Duration::from_secs(30)));
    }
}
