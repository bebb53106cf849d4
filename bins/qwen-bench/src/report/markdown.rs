//! Owns results for people: llama-bench's table, with the memory's bandwidth, the share of it that was used and the
//! memory that was needed behind it.

use std::io::{self, Write};

use crate::record::Record;

/// To which side a column's values stand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

/// Names, widths and sides.
const COLUMNS: [(&str, usize, Side); 10] = [
    ("model", 30, Side::Left),
    ("size", 10, Side::Right),
    ("params", 10, Side::Right),
    ("backend", 10, Side::Left),
    ("threads", 7, Side::Right),
    ("test", 15, Side::Right),
    ("t/s", 20, Side::Right),
    ("read GB/s", 10, Side::Right),
    ("roofline", 8, Side::Right),
    ("peak MiB", 8, Side::Right),
];

pub(super) fn header(out: &mut impl Write) -> io::Result<()> {
    write_row(out, &COLUMNS.map(|(name, ..)| name.to_owned()))?;
    let rules = COLUMNS.map(|(_, width, side)| match side {
        Side::Left => "-".repeat(width),
        Side::Right => format!("{}:", "-".repeat(width - 1)),
    });
    write_row(out, &rules)
}

pub(super) fn row(out: &mut impl Write, record: &Record) -> io::Result<()> {
    let kernels = record.kernels.as_deref().map(|kernels| format!(" {kernels}")).unwrap_or_default();
    let device = if record.device == "cpu" { String::new() } else { format!(" {}", record.device) };
    let known = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    write_row(
        out,
        &[
            record.model_type.clone(),
            size(record.model_size),
            count(record.model_n_params),
            format!("{}{kernels}{device}", record.engine),
            record.n_threads.to_string(),
            record.test.to_string(),
            format!("{:.2} ± {:.2}", record.avg_ts, record.stddev_ts),
            known(record.read_bandwidth.map(|bandwidth| format!("{:.1}", bandwidth / 1e9))),
            known(record.roofline_share.map(|share| format!("{:.1} %", share * 100.0))),
            known(record.peak_rss.map(|bytes| (bytes >> 20).to_string())),
        ],
    )
}

pub(super) fn footer(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "\nbuild: {}", crate::record::BUILD)
}

fn write_row(out: &mut impl Write, cells: &[String; COLUMNS.len()]) -> io::Result<()> {
    write!(out, "|")?;
    for (cell, (_, width, side)) in cells.iter().zip(COLUMNS) {
        match side {
            Side::Left => write!(out, " {cell:<width$} |")?,
            Side::Right => write!(out, " {cell:>width$} |")?,
        }
    }
    writeln!(out)
}

fn size(bytes: u64) -> String {
    let mebibytes = bytes as f64 / 1024.0 / 1024.0;
    if mebibytes < 1024.0 { format!("{mebibytes:.2} MiB") } else { format!("{:.2} GiB", mebibytes / 1024.0) }
}

fn count(weights: u64) -> String {
    let millions = weights as f64 / 1e6;
    if millions < 1000.0 { format!("{millions:.2} M") } else { format!("{:.2} B", millions / 1000.0) }
}
