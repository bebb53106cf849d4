//! Owns an answer and how it goes onto the wire, byte by byte. Must not decide what is answered.

use std::io::{self, Write};
use std::ops::Range;
use std::time::Duration;

use serde_json::Value;

use super::content::Content;

/// What is answered.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Body,
    pub(crate) delivery: Delivery,
}

/// What follows the headers.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    Text(Vec<u8>),
    /// A part of a file.
    File(Content, Range<u64>),
}

/// How an answer is sent; the default is: whole, at once and truly.
#[derive(Debug, Clone, Default)]
pub(crate) struct Delivery {
    /// The connection is closed before anything is sent.
    pub(crate) hang_up: bool,
    /// Nothing is sent at all, on an open connection.
    pub(crate) silent: bool,
    /// After so many bytes of the body, this happens.
    pub(crate) break_after: Option<(u64, Break)>,
    /// So many bytes at a time, and a pause after each.
    pub(crate) pace: Option<(u64, Duration)>,
    /// One byte of the body is another one: that at this place of the file.
    pub(crate) flip: Option<u64>,
    /// The Content-Length is so much off.
    pub(crate) length_off: i64,
    /// The body is sent again and again, without a Content-Length.
    pub(crate) endless: bool,
}

/// What interrupts a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Break {
    /// The connection is closed.
    Cut,
    /// The connection stays open, and nothing comes any more.
    Stall,
}

/// How a delivery has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The connection can take the next request.
    Complete,
    /// The connection is to be closed.
    Close,
    /// The connection is to be left open without another byte.
    Hold,
}

impl Answer {
    pub(crate) fn text(status: u16, text: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: Body::Text(text.into()), delivery: Delivery::default() }
    }

    pub(crate) fn json(value: &Value) -> Self {
        Self::text(200, value.to_string()).with("Content-Type", "application/json; charset=utf-8")
    }

    pub(crate) fn file(content: &Content, range: Option<Range<u64>>) -> Self {
        let len = content.len();
        let (status, body) = match &range {
            Some(range) => (206, Body::File(content.clone(), range.clone())),
            None => (200, Body::File(content.clone(), 0..len)),
        };
        let answer = Self { status, headers: Vec::new(), body, delivery: Delivery::default() };
        let answer = answer.with("Accept-Ranges", "bytes").with("Content-Type", "application/octet-stream");
        match range {
            Some(range) => answer.with("Content-Range", format!("bytes {}-{}/{len}", range.start, range.end - 1)),
            None => answer,
        }
    }

    /// With a header, which replaces one of the same name.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.retain(|(other, _)| *other != name);
        self.headers.push((name, value.into()));
        self
    }

    fn length(&self) -> u64 {
        match &self.body {
            Body::Text(text) => text.len() as u64,
            Body::File(_, range) => range.end - range.start,
        }
    }

    /// Sends it, telling `count` of the bytes of the body as they leave.
    pub(crate) fn send(
        &self,
        wire: &mut impl Write,
        head_only: bool,
        count: &mut dyn FnMut(u64),
    ) -> io::Result<Outcome> {
        if self.delivery.silent {
            return Ok(Outcome::Hold);
        }
        if self.delivery.hang_up {
            return Ok(Outcome::Close);
        }
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += &if self.delivery.endless {
            "Connection: close\r\n\r\n".to_owned()
        } else {
            format!("Content-Length: {}\r\n\r\n", self.length().saturating_add_signed(self.delivery.length_off))
        };
        wire.write_all(head.as_bytes())?;
        if head_only {
            return Ok(Outcome::Complete);
        }
        self.send_body(wire, count)
    }

    fn send_body(&self, wire: &mut impl Write, count: &mut dyn FnMut(u64)) -> io::Result<Outcome> {
        let delivery = &self.delivery;
        let own_end = self.length();
        let end = delivery.break_after.map_or(own_end, |(bytes, _)| bytes.min(own_end));
        loop {
            let mut at = 0;
            while at < end {
                let until = delivery.pace.map_or(end, |(bytes, _)| end.min(at + bytes));
                let sent = self.send_part(wire, at, until)?;
                count(sent);
                at += sent;
                if let Some((_, pause)) = delivery.pace {
                    std::thread::sleep(pause);
                }
            }
            if !delivery.endless {
                break;
            }
        }
        Ok(match delivery.break_after {
            Some((_, Break::Cut)) => Outcome::Close,
            Some((_, Break::Stall)) => Outcome::Hold,
            None if delivery.length_off != 0 => Outcome::Close,
            None => Outcome::Complete,
        })
    }

    /// Sends some bytes of the body from `at` on, and says how many.
    fn send_part(&self, wire: &mut impl Write, at: u64, until: u64) -> io::Result<u64> {
        let (bytes, start) = match &self.body {
            Body::Text(text) => (text[at as usize..until as usize].into(), 0),
            Body::File(content, range) => (content.read(range.start + at, range.start + until), range.start),
        };
        let len = bytes.len() as u64;
        match self.delivery.flip {
            Some(place) if (start + at..start + at + len).contains(&place) => {
                let mut bytes = bytes.into_owned();
                bytes[(place - start - at) as usize] ^= 0xff;
                wire.write_all(&bytes)?;
            }
            _ => wire.write_all(&bytes)?,
        }
        Ok(len)
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        206 => "Partial Content",
        302 => "Found",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        416 => "Range Not Satisfiable",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        _ => "Something Else",
    }
}
