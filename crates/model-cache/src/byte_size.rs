//! Owns how people write a number of bytes. Must not know what is measured.

use std::str::FromStr;

/// A number of bytes, parsed from `500M`, `2G`, `1.5GiB` or plain digits; K, M, G and T are powers of 1024.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a number of bytes; write for example 500M or 2G");
        let trimmed = text.trim();
        let end = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
        let (number, unit) = trimmed.split_at(end);
        let number: f64 = number.parse().map_err(|_| wrong())?;
        let exponent = match unit.trim().to_ascii_uppercase().trim_end_matches('B').trim_end_matches('I') {
            "" => 0,
            "K" => 1,
            "M" => 2,
            "G" => 3,
            "T" => 4,
            _ => return Err(wrong()),
        };
        let bytes = number * 1024_f64.powi(exponent);
        if bytes > u64::MAX as f64 { Err(wrong()) } else { Ok(Self(bytes as u64)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, expected) in [
            ("0", 0),
            ("12", 12),
            ("1k", 1 << 10),
            ("500M", 500 << 20),
            (" 2G ", 2 << 30),
            ("512MiB", 512 << 20),
            ("1.5GiB", 3 << 29),
            ("1TB", 1 << 40),
        ] {
            assert_eq!(text.parse(), Ok(ByteSize(expected)), "{text}");
        }
        for text in ["", "M", "2X", "-1", "1..5G", "99999999T"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }
}
