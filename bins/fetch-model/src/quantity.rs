//! Owns how sizes, durations and moments are written and read. Must not know what is measured.

use std::time::{Duration, SystemTime};

use anyhow::Context;
use indicatif::BinaryBytes;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Reads `12h`, `30m`, `7d`.
pub(crate) fn duration(text: &str) -> anyhow::Result<Duration> {
    humantime::parse_duration(text.trim())
        .with_context(|| format!("`{text}` is not a duration; write for example 90s, 30m, 12h or 7d"))
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
    fn durations_are_read_and_sizes_written_as_people_do() {
        assert_eq!(duration("12h").unwrap(), Duration::from_secs(12 * 3600));
        assert_eq!(duration("7d").unwrap(), Duration::from_secs(7 * 24 * 3600));
        assert!(duration("7").is_err() && duration("soon").is_err());
        assert_eq!(timestamp(SystemTime::UNIX_EPOCH).unwrap(), "1970-01-01T00:00:00Z");
        assert_eq!(size(3 << 29), "1.50 GiB");
    }
}
