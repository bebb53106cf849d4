//! Owns what can go wrong: rules that say which request meets which trouble, and what it does to the answer.

use std::time::Duration;

use serde_json::Value;

use super::answer::{Answer, Body, Break};
use super::files::{self, HOP};
use super::request::Request;

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum On {
    /// The repository at a revision.
    Info,
    /// Its listing.
    Tree,
    /// A file's headers.
    Head,
    /// A file, of the Hub.
    Resolve,
    /// A file, of whoever has its bytes: the Hub for a small one, the second host for a large one.
    Bytes,
    /// Anything.
    Any,
}

/// Which requests meet a trouble: of those that it concerns, counted from the first.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    on: On,
    file: Option<String>,
    skip: usize,
    times: usize,
    trouble: Trouble,
}

/// What goes wrong.
#[derive(Debug, Clone)]
pub(crate) enum Trouble {
    /// This status, with the Hub's words for it.
    Status(u16),
    /// This status, and a number of seconds after which to come again.
    RetryAfter(u16, u64),
    /// This status with this error code, as the Hub refuses.
    Refusal(u16, &'static str, &'static str),
    /// A web page instead of what was asked for.
    WebPage,
    /// The text ends in the middle.
    TruncatedText,
    /// The connection is closed without an answer.
    HangUp,
    /// No answer, on an open connection.
    Silence,
    /// The connection is closed when the answer reaches this place of the file.
    Cut(u64),
    /// Nothing comes any more when the answer reaches this place of the file.
    Stall(u64),
    /// So many bytes at a time, with a pause after each.
    Pace(u64, Duration),
    /// The byte at this place of the file is another one.
    Flip(u64),
    /// The Content-Length is so much off.
    LengthOff(i64),
    /// The size of the file in the listing is so much off.
    ListedSizeOff(i64),
    /// The body never ends.
    Endless,
    /// The whole file, whatever range was asked for.
    NoRange,
    /// Another range than that which was asked for.
    WrongRange,
    /// The range is refused.
    Unsatisfiable,
    /// The ETag is another one.
    OtherEtag,
    /// A redirect that leads nowhere.
    Redirect(Place),
}

/// Where a redirect leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Back.
    Itself,
    /// To a redirect, and so on.
    Chain,
    /// To where nobody listens.
    Refused,
    /// To the right host, but with TLS, which it does not speak.
    Https,
    /// It does not say.
    Nowhere,
}

impl Rule {
    /// Every such request meets the trouble.
    pub(crate) fn always(on: On, trouble: Trouble) -> Self {
        Self::first(usize::MAX, on, trouble)
    }

    /// The first few such requests meet the trouble.
    pub(crate) fn first(times: usize, on: On, trouble: Trouble) -> Self {
        Self { on, file: None, skip: 0, times, trouble }
    }

    /// Not counting the first few of them.
    pub(crate) fn after(mut self, skip: usize) -> Self {
        self.skip = skip;
        self
    }

    /// Only those for this file.
    pub(crate) fn of(mut self, file: &str) -> Self {
        self.file = Some(file.to_owned());
        self
    }

    /// Whether the rule concerns a request and still has effect; if so, it is used up by one.
    pub(crate) fn applies(&mut self, kinds: &[On], path: &str, answer: &Answer) -> bool {
        // A listing is about all files.
        let about_it = |file: &str| path.ends_with(&format!("/{file}")) || self.on == On::Tree;
        let concerned = (self.on == On::Any || kinds.contains(&self.on))
            && self.file.as_deref().is_none_or(about_it)
            && self.trouble.reaches(answer);
        if concerned && self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        let applies = concerned && self.times > 0;
        if applies && self.times < usize::MAX {
            self.times -= 1;
        }
        applies
    }

    /// Does it to an answer.
    pub(crate) fn spoil(&self, request: &Request, answer: Answer) -> Answer {
        self.trouble.spoil(self.file.as_deref(), request, answer)
    }
}

impl Trouble {
    /// Whether an answer contains the place where the trouble lies.
    fn reaches(&self, answer: &Answer) -> bool {
        match (self, &answer.body) {
            // One interruption ends an answer; another one waits for the next.
            (Self::Cut(place) | Self::Stall(place), Body::File(_, range)) => {
                range.contains(place) && answer.delivery.break_after.is_none()
            }
            (Self::Flip(place), Body::File(_, range)) => range.contains(place),
            (Self::Cut(_) | Self::Stall(_) | Self::Flip(_), Body::Text(_)) => false,
            _ => true,
        }
    }

    fn spoil(&self, file: Option<&str>, request: &Request, mut answer: Answer) -> Answer {
        let start = if let Body::File(_, range) = &answer.body { range.start } else { 0 };
        let delivery = &mut answer.delivery;
        match self {
            Self::Status(status) => return files::refusal(*status, "", "Something went wrong on our side"),
            Self::RetryAfter(status, seconds) => {
                return files::refusal(*status, "", "We had to rate limit you, please come again later")
                    .with("Retry-After", seconds.to_string());
            }
            Self::Refusal(status, code, message) => return files::refusal(*status, code, message),
            Self::WebPage => return Answer::text(200, "<html>log in</html>").with("Content-Type", "text/html"),
            Self::TruncatedText => {
                if let Body::Text(text) = &mut answer.body {
                    text.truncate(text.len() / 2);
                }
            }
            Self::HangUp => delivery.hang_up = true,
            Self::Silence => delivery.silent = true,
            Self::Cut(place) => delivery.break_after = Some((place - start, Break::Cut)),
            Self::Stall(place) => delivery.break_after = Some((place - start, Break::Stall)),
            Self::Pace(bytes, pause) => delivery.pace = Some((*bytes, *pause)),
            Self::Flip(place) => delivery.flip = Some(*place),
            Self::LengthOff(bytes) => delivery.length_off = *bytes,
            Self::Endless => delivery.endless = true,
            Self::ListedSizeOff(bytes) => return listed_size_off(answer, file, *bytes),
            Self::NoRange => {
                if let Body::File(content, _) = &answer.body {
                    answer = Answer { delivery: answer.delivery, ..Answer::file(content, None) };
                }
            }
            Self::WrongRange => {
                if let Body::File(content, range) = &answer.body {
                    let (start, end, len) = (range.start + 1, range.end - 1, content.len());
                    return answer.with("Content-Range", format!("bytes {start}-{end}/{len}"));
                }
            }
            Self::Unsatisfiable => return Answer::text(416, "").with("Content-Range", "bytes */0"),
            Self::OtherEtag => {
                let name = if answer.status == 302 { "X-Linked-ETag" } else { "ETag" };
                return answer.with(name, format!("\"{}\"", "0".repeat(64)));
            }
            Self::Redirect(place) => return redirect(*place, request, &answer),
        }
        answer
    }
}

fn redirect(place: Place, request: &Request, answer: &Answer) -> Answer {
    let moved = Answer::text(302, "");
    match place {
        Place::Itself => moved.with("Location", request.target()),
        Place::Chain => moved.with("Location", format!("{HOP}1")),
        // A port that only the system may listen on, and it does not.
        Place::Refused => moved.with("Location", "http://127.0.0.1:1/file"),
        Place::Https => {
            let location = answer.headers.iter().find(|(name, _)| *name == "Location");
            let plain = location.map_or("http://127.0.0.1:1/", |(_, location)| location.as_str());
            moved.with("Location", plain.replacen("http://", "https://", 1))
        }
        Place::Nowhere => moved,
    }
}

/// A listing in which a file is not as large as it is.
fn listed_size_off(mut answer: Answer, file: Option<&str>, bytes: i64) -> Answer {
    if let Body::Text(text) = &mut answer.body
        && let Ok(Value::Array(mut entries)) = serde_json::from_slice(text)
    {
        for entry in &mut entries {
            if entry["type"] == "file" && file.is_none_or(|file| entry["path"] == file) {
                let size = entry["size"].as_u64().unwrap_or_default().saturating_add_signed(bytes);
                entry["size"] = size.into();
                if entry.get("lfs").is_some() {
                    entry["lfs"]["size"] = size.into();
                }
            }
        }
        *text = Value::Array(entries).to_string().into_bytes();
    }
    answer
}
