//! Owns the names of troubles, for tests and for people who try a program against the Hub. Each concerns the weights,
//! unless it says otherwise.

use std::time::Duration;

use super::sample::WEIGHTS;
use super::trouble::{On, Place, Rule, Trouble};

/// All names. A cut is followed by the percentage of the file.
pub(crate) const NAMES: [&str; 54] = [
    "cut-0",
    "cut-10",
    "cut-20",
    "cut-30",
    "cut-40",
    "cut-50",
    "cut-60",
    "cut-70",
    "cut-80",
    "cut-90",
    "length-short",
    "length-long",
    "digest-once",
    "digest-always",
    "small-digest-once",
    "listed-size-small",
    "listed-size-large",
    "small-listed-size",
    "rate-limit-once",
    "rate-limit-storm",
    "rate-limit-patience",
    "server-errors",
    "server-error-always",
    "info-errors",
    "stall-once",
    "stall-always",
    "silence-once",
    "silence-always",
    "drip",
    "slow",
    "redirect-loop",
    "redirect-chain",
    "redirect-refused",
    "redirect-https",
    "redirect-nowhere",
    "info-truncated",
    "tree-truncated",
    "info-web-page",
    "tree-web-page",
    "file-web-page",
    "gated-401",
    "gated-403",
    "no-repository",
    "no-repository-401",
    "no-revision",
    "file-404",
    "file-403",
    "no-range",
    "wrong-range",
    "unsatisfiable",
    "hang-up-once",
    "hang-up-always",
    "endless",
    "other-etag",
];

/// The rules that make a trouble, for weights of `len` bytes; `None` when nobody has heard of it.
pub(crate) fn rules(name: &str, len: u64) -> Option<Vec<Rule>> {
    if let Some(percent) = name.strip_prefix("cut-") {
        let place = len * percent.parse::<u64>().ok()? / 100;
        return Some(vec![Rule::first(1, On::Bytes, Trouble::Cut(place)).of(WEIGHTS)]);
    }
    let once = |on, trouble| vec![Rule::first(1, on, trouble).of(WEIGHTS)];
    let always = |on, trouble| vec![Rule::always(on, trouble).of(WEIGHTS)];
    let ever = |on, trouble| vec![Rule::always(on, trouble)];
    let redirect = |place| always(On::Resolve, Trouble::Redirect(place));
    let middle = len / 2;
    let refusal = Trouble::Refusal;
    Some(match name {
        "length-short" => once(On::Bytes, Trouble::LengthOff(-1000)),
        "length-long" => once(On::Bytes, Trouble::LengthOff(1000)),
        "digest-once" => once(On::Bytes, Trouble::Flip(middle)),
        "digest-always" => always(On::Bytes, Trouble::Flip(middle)),
        "small-digest-once" => vec![Rule::first(1, On::Bytes, Trouble::Flip(3)).of("config.json")],
        "listed-size-small" => always(On::Tree, Trouble::ListedSizeOff(-1000)),
        "listed-size-large" => always(On::Tree, Trouble::ListedSizeOff(1000)),
        "small-listed-size" => vec![Rule::always(On::Tree, Trouble::ListedSizeOff(-5)).of("config.json")],
        "rate-limit-once" => vec![
            Rule::first(1, On::Info, Trouble::RetryAfter(429, 1)),
            Rule::first(1, On::Bytes, Trouble::RetryAfter(429, 1)).of(WEIGHTS),
        ],
        "rate-limit-storm" => ever(On::Any, Trouble::RetryAfter(429, 1)),
        "rate-limit-patience" => ever(On::Any, Trouble::RetryAfter(429, 3600)),
        "server-errors" => {
            [500, 502, 503, 504].map(|status| Rule::first(1, On::Resolve, Trouble::Status(status)).of(WEIGHTS)).into()
        }
        "server-error-always" => always(On::Resolve, Trouble::Status(500)),
        "info-errors" => vec![
            Rule::first(2, On::Info, Trouble::Status(502)),
            Rule::first(2, On::Tree, Trouble::Status(503)),
            Rule::first(2, On::Head, Trouble::Status(500)),
        ],
        "stall-once" => once(On::Bytes, Trouble::Stall(middle)),
        "stall-always" => always(On::Bytes, Trouble::Stall(middle)),
        "silence-once" => vec![
            Rule::first(1, On::Info, Trouble::Silence),
            Rule::first(1, On::Resolve, Trouble::Silence),
            Rule::first(1, On::Bytes, Trouble::Silence).of(WEIGHTS),
        ],
        "silence-always" => always(On::Bytes, Trouble::Silence),
        "drip" => always(On::Bytes, Trouble::Pace(1, Duration::from_millis(50))),
        "slow" => always(On::Bytes, Trouble::Pace(1 << 16, Duration::from_millis(10))),
        "redirect-loop" => redirect(Place::Itself),
        "redirect-chain" => redirect(Place::Chain),
        "redirect-refused" => redirect(Place::Refused),
        "redirect-https" => redirect(Place::Https),
        "redirect-nowhere" => redirect(Place::Nowhere),
        "info-truncated" => ever(On::Info, Trouble::TruncatedText),
        "tree-truncated" => ever(On::Tree, Trouble::TruncatedText),
        "info-web-page" => ever(On::Info, Trouble::WebPage),
        "tree-web-page" => ever(On::Tree, Trouble::WebPage),
        "file-web-page" => always(On::Resolve, Trouble::WebPage),
        "gated-401" => ["Access to model acme/large is restricted. Please log in."]
            .into_iter()
            .flat_map(|words| [On::Head, On::Resolve].map(|on| Rule::always(on, refusal(401, "GatedRepo", words))))
            .collect(),
        "gated-403" => ["Access to model acme/large is restricted and you are not in the authorized list."]
            .into_iter()
            .flat_map(|words| [On::Head, On::Resolve].map(|on| Rule::always(on, refusal(403, "GatedRepo", words))))
            .collect(),
        "no-repository" => ever(On::Any, refusal(404, "RepoNotFound", "Repository not found")),
        // What the Hub says to those who might be told more if they had a token.
        "no-repository-401" => ever(On::Any, refusal(401, "RepoNotFound", "Invalid username or password.")),
        "no-revision" => ever(On::Info, refusal(404, "RevisionNotFound", "Invalid rev id: main")),
        "file-404" => [On::Head, On::Resolve]
            .map(|on| Rule::always(on, refusal(404, "EntryNotFound", "Entry not found")).of(WEIGHTS))
            .into(),
        "file-403" => always(On::Bytes, refusal(403, "", "Request has expired")),
        "no-range" => ever(On::Bytes, Trouble::NoRange),
        "wrong-range" => always(On::Bytes, Trouble::WrongRange),
        "unsatisfiable" => always(On::Bytes, Trouble::Unsatisfiable),
        "hang-up-once" => {
            [On::Info, On::Tree, On::Head, On::Resolve, On::Bytes].map(|on| Rule::first(1, on, Trouble::HangUp)).into()
        }
        "hang-up-always" => ever(On::Any, Trouble::HangUp),
        "endless" => always(On::Bytes, Trouble::Endless),
        "other-etag" => always(On::Resolve, Trouble::OtherEtag),
        _ => return None,
    })
}
