//! Owns results for programs: an array, or one object to a line.

use std::io::{self, Write};

use crate::record::Record;

pub(super) fn begin(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "[")
}

/// The element number `index`.
pub(super) fn element(out: &mut impl Write, index: usize, record: &Record) -> io::Result<()> {
    if index > 0 {
        writeln!(out, ",")?;
    }
    Ok(serde_json::to_writer_pretty(out, record)?)
}

pub(super) fn end(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "\n]")
}

pub(super) fn line(out: &mut impl Write, record: &Record) -> io::Result<()> {
    serde_json::to_writer(&mut *out, record)?;
    writeln!(out)
}
