//! Meeting a trouble: a fetch from a Hub that misbehaves, and what must hold whatever comes of it.

use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use model_cache::{CacheError, FetchEvent, ModelFiles};
use tempfile::{TempDir, tempdir};

use crate::hub::sample::{self, WEIGHTS};
use crate::hub::{Content, Hub, Repo, Rule, Seen, named};
use crate::{disk, online, spec};

/// A repository with weights to fetch.
pub(crate) const MODEL: &str = "acme/large";

/// Nothing on loopback takes longer, with limits as these tests set them.
pub(crate) const BOUND: Duration = Duration::from_secs(60);

/// Fifty megabytes: two segments, of which the second is not a whole one.
pub(crate) static LARGE: LazyLock<Content> = LazyLock::new(|| sample::weights(50_000_000).into());

/// Two megabytes: one segment.
pub(crate) static SMALL: LazyLock<Content> = LazyLock::new(|| sample::weights(2_000_000).into());

/// What came of a fetch.
pub(crate) struct Met {
    pub(crate) result: Result<ModelFiles, CacheError>,
    pub(crate) hub: Hub,
    pub(crate) dir: TempDir,
    pub(crate) weights: Content,
    pub(crate) events: Vec<FetchEvent>,
}

/// A Hub with [`MODEL`].
pub(crate) fn hub(weights: &Content, rules: Vec<Rule>) -> Hub {
    let mut files: std::collections::BTreeMap<String, Content> =
        sample::checkpoint().into_iter().map(|(file, bytes)| (file, bytes.into())).collect();
    files.insert(WEIGHTS.to_owned(), weights.clone());
    Hub::troubled(vec![Repo::new(MODEL, files)], rules)
}

/// Fetches from a Hub with a trouble of that name.
pub(crate) async fn meet(name: &str, weights: &Content) -> Met {
    meet_rules(named::rules(name, weights.len()).unwrap(), weights).await
}

/// Fetches from a Hub that misbehaves.
pub(crate) async fn meet_rules(rules: Vec<Rule>, weights: &Content) -> Met {
    let (hub, dir) = (hub(weights, rules), tempdir().unwrap());
    let events = Mutex::new(Vec::new());
    let (model, note) = (spec(MODEL), |event| events.lock().unwrap().push(event));
    let cache = online(dir.path(), &hub);
    let result = tokio::time::timeout(BOUND, cache.fetch(&model, &note)).await.expect("in bounded time");
    disk::assert_sound(dir.path());
    let offline = crate::offline(dir.path()).resolve(&model);
    assert_eq!(offline.is_ok(), result.is_ok(), "what could not be fetched is not there: {offline:?}, {result:?}");
    Met { result, hub, dir, weights: weights.clone(), events: events.into_inner().unwrap() }
}

impl Met {
    /// The fetch ended well, and the Hub has sent hardly more than the file.
    pub(crate) fn cost_nothing(&self) {
        self.has_all();
        let (sent, len) = (self.hub.sent(WEIGHTS), self.weights.len());
        println!("{sent} bytes for a file of {len}");
        assert!(sent <= len + len / 100, "{sent} bytes for a file of {len}");
    }

    /// The fetch ended well.
    pub(crate) fn has_all(&self) {
        let files = self.result.as_ref().unwrap_or_else(|error| panic!("{}", error.with_causes()));
        assert_eq!(files.path.join(WEIGHTS).metadata().unwrap().len(), self.weights.len());
    }

    pub(crate) fn error(&self) -> &CacheError {
        self.result.as_ref().expect_err("it cannot have ended well")
    }

    /// The fetch ended with a named error that says what to do; once the trouble is over, the next one ends well, and
    /// brings only what is missing.
    pub(crate) async fn failed(self, is_it: impl Fn(&CacheError) -> bool, words: &[&str]) {
        let error = self.error();
        let text = error.with_causes();
        assert!(is_it(error), "{error:?}");
        for word in words {
            assert!(text.contains(word), "{word} is not in: {text}");
        }
        self.recovers().await;
    }

    /// Once the trouble is over, the next fetch ends well, and brings only what is missing.
    pub(crate) async fn recovers(self) {
        let there = disk::unfinished(self.dir.path(), MODEL, &self.weights);
        self.hub.heal();
        self.hub.forget();
        let (cache, model) = (online(self.dir.path(), &self.hub), spec(MODEL));
        let fetched = tokio::time::timeout(BOUND, cache.fetch(&model, &|_| ())).await.expect("in bounded time");
        disk::assert_sound(self.dir.path());
        let met = Self { result: fetched, ..self };
        met.has_all();
        let (sent, len) = (met.hub.sent(WEIGHTS), met.weights.len());
        assert!(sent + there <= len + len / 100, "{there} bytes of {len} were there, and {sent} were fetched");
    }

    /// Whether an event tells of a failed try.
    pub(crate) fn waited(&self) -> bool {
        self.events.iter().any(|event| matches!(event, FetchEvent::Waiting { .. }))
    }

    /// The first request of those that go on where an answer was interrupted begins where that one ended.
    pub(crate) fn goes_on_where_it_broke_off(&self) {
        let parts: Vec<(Seen, u64, u64)> = self
            .hub
            .seen()
            .into_iter()
            .filter(|seen| seen.path.starts_with("/cdn/") && seen.path.ends_with(WEIGHTS))
            .map(|seen| {
                let (start, end) = asked(&seen, self.weights.len());
                (seen, start, end)
            })
            .collect();
        let broken = parts.iter().position(|(seen, start, end)| seen.sent < end - start).expect("one broke off");
        let (seen, start, end) = &parts[broken];
        let next = parts[broken + 1..].iter().find(|(_, _, other)| other == end).expect("one goes on");
        let there = start + seen.sent;
        assert!(next.1 + self.weights.len() / 100 >= there, "{there} bytes were there, and it goes on at {}", next.1);
    }
}

/// The first byte that a request asks for, and the one after the last.
pub(crate) fn asked(seen: &Seen, len: u64) -> (u64, u64) {
    let range = seen.range.as_deref().and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
    range.map_or((0, len), |(first, last)| (first.parse().unwrap(), last.parse::<u64>().map_or(len, |last| last + 1)))
}
