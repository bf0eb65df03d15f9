//! Durations, sizes and rates as a person writes them.

use std::time::Duration;

use super::rule::{Advice, advise};

/// What the schema says of a duration; the reader follows [`duration`].
pub const DURATION_PATTERN: &str = r"^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+(\.[0-9]{1,3})?s)?([0-9]+ms)?$";
pub const SIZE_PATTERN: &str = "^[0-9]+(B|KiB|MiB)$";
pub const RATE_PATTERN: &str = "^[0-9]+/h$";

const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Reads `5s`, `250ms`, `1m30s`, `1.5s`: whole numbers with d, h, m, s, ms in falling order; seconds may have up to three
/// decimals.
pub fn duration(text: &str) -> Result<Duration, Advice> {
    let refuse = || {
        let fix = match text.trim().parse::<f64>() {
            Ok(_) => format!("add a unit: `\"{}s\"`", text.trim()),
            Err(_) => {
                "write a number with a unit (ms, s, m, h, d), for example `\"5s\"`, `\"250ms\"` or `\"1m30s\"`".into()
            }
        };
        advise(format!("`{text}` is no duration"), fix)
    };
    let (mut rest, mut total, mut units) = (text, 0u64, UNITS.iter());
    if text.is_empty() {
        return refuse();
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let (fraction, tail) = match tail.strip_prefix('.') {
            Some(tail) => tail.split_at(tail.find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len())),
            None => ("", tail),
        };
        let letters = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let Some((_, factor)) = units.by_ref().find(|(name, _)| *name == unit) else { return refuse() };
        let pointed = rest.as_bytes().get(digits) == Some(&b'.');
        if pointed && (unit != "s" || fraction.is_empty() || fraction.len() > 3) {
            return refuse();
        }
        let Ok(number) = number.parse::<u64>() else { return refuse() };
        let millis = format!("{fraction:0<3}").parse::<u64>().unwrap_or(0);
        let sum =
            number.checked_mul(*factor).and_then(|ms| ms.checked_add(millis)).and_then(|ms| ms.checked_add(total));
        let Some(sum) = sum else { return refuse() };
        (total, rest) = (sum, tail);
    }
    Ok(Duration::from_millis(total))
}

/// Reads `64KiB`, `1MiB`, `512B` as bytes.
pub fn size(text: &str) -> Result<u64, Advice> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "B" => Some(1),
        "KiB" => Some(1024),
        "MiB" => Some(1024 * 1024),
        _ => None,
    };
    if let (Ok(number), Some(factor)) = (number.parse::<u64>(), factor)
        && let Some(bytes) = number.checked_mul(factor)
    {
        return Ok(bytes);
    }
    let fix = match (number, unit.to_ascii_lowercase().as_str()) {
        ("", _) => "write a number with B, KiB or MiB, for example `\"64KiB\"`".into(),
        (n, "k" | "kb" | "ki" | "kib") => format!("write `\"{n}KiB\"`"),
        (n, "m" | "mb" | "mi" | "mib") => format!("write `\"{n}MiB\"`"),
        _ => "write a number with B, KiB or MiB, for example `\"64KiB\"`".into(),
    };
    advise(format!("`{text}` is no size"), fix)
}

/// Reads `4/h` as a count an hour.
pub fn rate(text: &str) -> Result<u32, Advice> {
    if let Some(count) = text.strip_suffix("/h").and_then(|n| n.parse::<u32>().ok()) {
        return Ok(count);
    }
    let fix = match text.split_once('/') {
        Some((n, unit)) if n.parse::<u32>().is_ok() => {
            format!("only moves an hour are counted; write `\"{n}/h\"` instead of `/{unit}`")
        }
        _ => "write how many moves an hour, for example `\"4/h\"`".into(),
    };
    advise(format!("`{text}` is no rate"), fix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them_and_as_we_print_them() {
        for (text, ms) in [
            ("5s", 5000),
            ("250ms", 250),
            ("1m30s", 90_000),
            ("0s", 0),
            ("1.5s", 1500),
            ("2d", 172_800_000),
            ("1h0m1s5ms", 3_601_005),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for ms in [0, 250, 1500, 8000, 90_000, 5_400_000] {
            let d = Duration::from_millis(ms);
            assert_eq!(duration(&crate::domain::time::human(d)), Ok(d));
        }
        for bad in [
            "",
            "5",
            "s",
            "5 s",
            "-5s",
            "5S",
            "1s1m",
            "1s1s",
            "1.5m",
            "1.s",
            "1.2345s",
            "5sec",
            "99999999999999999999s",
            "999999999999999999d",
        ] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        assert_eq!(duration("5").unwrap_err().fix, "add a unit: `\"5s\"`");
    }

    #[test]
    fn the_schema_s_pattern_of_a_duration_agrees_with_the_reader() {
        let pattern = regex::Regex::new(DURATION_PATTERN).unwrap();
        for text in ["5s", "1.5s", "1m30s", "5", "1s1m", "1.5m", "1.s", "5S", "1h5ms", "1.2345s", "ms", "5s "] {
            assert_eq!(pattern.is_match(text), duration(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn sizes_and_rates_name_their_unit() {
        assert_eq!((size("64KiB"), size("1MiB"), size("7B")), (Ok(65_536), Ok(1_048_576), Ok(7)));
        assert_eq!(size("64kb").unwrap_err().fix, "write `\"64KiB\"`");
        assert_eq!(rate("4/h"), Ok(4));
        assert!(rate("4/m").unwrap_err().fix.contains("\"4/h\""));
        assert!(rate("4").is_err() && size("64").is_err() && size("KiB").is_err());
    }
}
