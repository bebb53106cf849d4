//! Owns how sizes, durations and moments are written and read. Must not know what is measured.

use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use indicatif::BinaryBytes;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Reads `12h`, `30m`, `7d`.
pub(crate) fn duration(text: &str) -> anyhow::Result<Duration> {
    humantime::parse_duration(text.trim())
        .with_context(|| format!("`{text}` is not a duration; write for example 90s, 30m, 12h or 7d"))
}

/// Reads `500M`, `2G`, `1.5GiB` or bytes; K, M, G and T are powers of 1024.
pub(crate) fn bytes(text: &str) -> anyhow::Result<u64> {
    let wrong = || format!("`{text}` is not a number of bytes; write for example 500M or 2G");
    let trimmed = text.trim();
    let end = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(end);
    let number: f64 = number.parse().with_context(wrong)?;
    let exponent = match unit.trim().to_ascii_uppercase().trim_end_matches('B').trim_end_matches('I') {
        "" => 0,
        "K" => 1,
        "M" => 2,
        "G" => 3,
        "T" => 4,
        _ => bail!(wrong()),
    };
    let bytes = number * 1024_f64.powi(exponent);
    if bytes > u64::MAX as f64 {
        bail!(wrong());
    }
    Ok(bytes as u64)
}

/// `1.50 GiB`.
pub(crate) fn size(bytes: u64) -> String {
    BinaryBytes(bytes).to_string()
}

/// `2026-03-01 14:30`, in this machine's time zone.
pub(crate) fn date(at: SystemTime) -> String {
    let local = Timestamp::try_from(at).map(|at| at.to_zoned_datetime(TimeZone::system()));
    local.map_or_else(|_| "?".to_owned(), |local| local.strftime("%Y-%m-%d %H:%M").to_string())
}

/// `2026-03-01T13:30:00Z`.
pub(crate) fn timestamp(at: SystemTime) -> Option<String> {
    let seconds = Timestamp::try_from(at).ok()?.as_second();
    Timestamp::from_second(seconds).ok().map(|at| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_are_read_as_people_write_them() {
        for (text, expected) in [
            ("0", 0),
            ("12", 12),
            ("1k", 1 << 10),
            ("500M", 500 << 20),
            (" 2G ", 2 << 30),
            ("1.5GiB", 3 << 29),
            ("1TB", 1 << 40),
        ] {
            assert_eq!(bytes(text).unwrap(), expected, "{text}");
        }
        for text in ["", "M", "2X", "-1", "1..5G", "99999999T"] {
            assert!(bytes(text).is_err(), "{text}");
        }
        assert_eq!(duration("12h").unwrap(), Duration::from_secs(12 * 3600));
        assert_eq!(duration("7d").unwrap(), Duration::from_secs(7 * 24 * 3600));
        assert!(duration("7").is_err() && duration("soon").is_err());
        assert_eq!(timestamp(SystemTime::UNIX_EPOCH).unwrap(), "1970-01-01T00:00:00Z");
        assert_eq!(size(3 << 29), "1.50 GiB");
    }
}
