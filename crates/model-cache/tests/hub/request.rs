//! Owns how a request is read from a connection, and what the Hub remembers of it. Must not answer.

use std::io::{self, BufRead};
use std::ops::Range;

/// A request as it came in. None of those that a Hub gets from a reader has a body.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// The host in front of the path, in a request to a proxy.
    pub(crate) proxied_to: Option<String>,
    /// Without the query, percent signs resolved.
    pub(crate) path: String,
    pub(crate) query: String,
    headers: Vec<(String, String)>,
}

/// One request that the Hub has seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) proxied_to: Option<String>,
    pub(crate) range: Option<String>,
    pub(crate) authorization: Option<String>,
    /// The status of the answer; 0 when there is none.
    pub(crate) status: u16,
    /// How many bytes of the body have been sent.
    pub(crate) sent: u64,
    /// Whether the answer is over, for better or worse.
    pub(crate) ended: bool,
    /// Whether it is no longer of interest.
    pub(crate) forgotten: bool,
}

impl Request {
    /// The next request of a connection; `None` when the other side has closed it.
    pub(crate) fn read(connection: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut line = String::new();
        if connection.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut words = line.split_whitespace();
        let (method, target) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default());
        let (proxied_to, target) = match target.strip_prefix("http://") {
            Some(rest) => {
                let slash = rest.find('/').unwrap_or(rest.len());
                (Some(rest[..slash].to_owned()), &rest[slash..])
            }
            None if method == "CONNECT" => (Some(target.to_owned()), ""),
            None => (None, target),
        };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let (path, query) = (decoded(path), query.to_owned());
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            if connection.read_line(&mut line)? == 0 {
                return Ok(None);
            }
            match line.trim_end().split_once(':') {
                Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.trim().to_owned())),
                None => break,
            }
        }
        Ok(Some(Self { method, proxied_to, path, query, headers }))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The value of a parameter of the query.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }

    /// Path and query.
    pub(crate) fn target(&self) -> String {
        if self.query.is_empty() { self.path.clone() } else { format!("{}?{}", self.path, self.query) }
    }

    /// The bytes that are asked for of a file with this many: all of them, some, or `Err` when there are none such.
    pub(crate) fn range(&self, len: u64) -> Result<Option<Range<u64>>, ()> {
        let Some((first, last)) = self.header("range").and_then(|range| range.strip_prefix("bytes=")?.split_once('-'))
        else {
            return Ok(None);
        };
        let range = match (first.parse::<u64>(), last.parse::<u64>()) {
            (Ok(first), Ok(last)) => first..len.min(last + 1),
            (Ok(first), Err(_)) => first..len,
            (Err(_), Ok(count)) => len.saturating_sub(count)..len,
            (Err(_), Err(_)) => return Ok(None),
        };
        if range.is_empty() { Err(()) } else { Ok(Some(range)) }
    }

    pub(crate) fn seen(&self) -> Seen {
        let header = |name| self.header(name).map(str::to_owned);
        Seen {
            method: self.method.clone(),
            path: self.path.clone(),
            proxied_to: self.proxied_to.clone(),
            range: header("range"),
            authorization: header("authorization"),
            status: 0,
            sent: 0,
            ended: false,
            forgotten: false,
        }
    }
}

/// Resolves `%20` and the like.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, tail @ ..] = rest {
        let escaped = (*byte == b'%').then(|| std::str::from_utf8(tail.get(..2)?).ok()).flatten();
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*byte);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
