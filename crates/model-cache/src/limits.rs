//! Owns how long a download may take and how often it is tried: the operator's patience in numbers.

use std::time::Duration;

/// The limits of one [`fetch`](crate::ModelCache::fetch).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchLimits {
    /// Ranges of one file that are transferred at once.
    pub connections: usize,
    /// How long a connection may take to be made.
    pub connect: Duration,
    /// After how long without a byte, or with fewer than 1 KiB a second, a connection is given up and made anew.
    pub stall: Duration,
    /// How long one file may take, all its tries together.
    pub file: Duration,
    /// How long everything may take.
    pub total: Duration,
    /// How many tries in a row may bring nothing before it is given up.
    pub retries: u32,
    /// The pause after the first failed try; it doubles with each further one.
    pub first_delay: Duration,
    /// The longest pause. A Hub that asks for a longer one (`Retry-After`) ends the download.
    pub longest_delay: Duration,
    /// Bytes that must stay free on the volume.
    pub keep_free: u64,
}

impl Default for FetchLimits {
    /// For 8 GB over a bad line: patient, but not for ever.
    fn default() -> Self {
        Self {
            connections: 4,
            connect: Duration::from_secs(10),
            stall: Duration::from_secs(30),
            file: Duration::from_secs(12 * 3600),
            total: Duration::from_secs(24 * 3600),
            retries: 8,
            first_delay: Duration::from_secs(1),
            longest_delay: Duration::from_secs(60),
            keep_free: 64 << 20,
        }
    }
}
