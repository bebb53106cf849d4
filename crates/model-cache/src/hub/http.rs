//! Owns the requests for files: their digests and their bytes, over connections with time limits. Must not decide what
//! is tried again.

use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::header::{ACCEPT_ENCODING, CONTENT_RANGE, ETAG, HeaderMap, RANGE, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url, redirect};

use super::refusal::{Answer, Asked};
use super::{Again, Trouble};
use crate::listing::ListedFile;
use crate::{AccessToken, CacheConfig, CacheError, Digest, FetchLimits, RepoId};

/// The Hub itself.
const HUGGING_FACE: &str = "https://huggingface.co";

pub(super) const USER_AGENT: &str = concat!("model-cache/", env!("CARGO_PKG_VERSION"));

/// Redirects in a row that are followed.
const REDIRECTS: usize = 10;

/// A connection that brings less than this is as good as stalled, in bytes per second.
const SLOWEST: f64 = 1024.0;

/// The Hub or a mirror of it.
#[derive(Debug)]
pub(crate) struct Hub {
    endpoint: String,
    token: Option<AccessToken>,
    limits: FetchLimits,
    /// Follows redirects; the token stays with the host that it was given for.
    following: reqwest::Client,
    /// Stops where the Hub sends its caller to another host, because that answer carries the digest.
    staying: reqwest::Client,
}

/// A part of a file that is coming in.
#[derive(Debug)]
pub(crate) struct Body {
    response: Response,
    /// Where in the file it begins.
    pub(crate) start: u64,
    stall: Duration,
    window: Instant,
    in_window: u64,
}

impl Hub {
    pub(crate) fn new(config: &CacheConfig) -> Result<Self, CacheError> {
        let client = |policy| {
            reqwest::Client::builder()
                .user_agent(USER_AGENT)
                .connect_timeout(config.limits.connect)
                .redirect(policy)
                .build()
                .map_err(|_| CacheError::InvalidConfig { what: "an HTTP client cannot be made; check the proxy's URL" })
        };
        let endpoint = config.endpoint.as_deref().unwrap_or(HUGGING_FACE).trim_end_matches('/').to_owned();
        Ok(Self {
            endpoint,
            token: config.token.clone(),
            limits: config.limits.clone(),
            following: client(redirect::Policy::custom(follow))?,
            staying: client(redirect::Policy::custom(stay))?,
        })
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    pub(crate) fn sends_token(&self) -> bool {
        self.token.is_some()
    }

    pub(super) fn token(&self) -> Option<&str> {
        self.token.as_ref().map(AccessToken::expose)
    }

    pub(super) fn following(&self) -> &reqwest::Client {
        &self.following
    }

    pub(super) fn patience_for_an_answer(&self) -> Duration {
        self.limits.stall
    }

    /// The size in bytes and the digest of a file, as the Hub itself states them.
    pub(crate) async fn facts(&self, repo: &RepoId, commit: &str, file: &str) -> Result<(u64, Digest), Trouble> {
        let asked = Asked { repo, revision: commit, file: Some(file) };
        let response = self.send(asked, self.request(&self.staying, Method::HEAD, asked)?).await?;
        let header = |name: &str, instead: reqwest::header::HeaderName| {
            response
                .headers()
                .get(name)
                .or_else(|| response.headers().get(instead))
                .and_then(|value| value.to_str().ok())
        };
        let etag = header("x-linked-etag", ETAG);
        let digest = etag.and_then(|etag| Digest::parse(etag.trim_start_matches("W/").trim_matches('"')));
        let size = header("x-linked-size", reqwest::header::CONTENT_LENGTH).and_then(|size| size.parse().ok());
        size.zip(digest).ok_or_else(|| {
            Trouble::new(self.unusable(format!("it does not say the size and the digest of {file}")), Again::Briefly)
        })
    }

    /// Asks for the bytes of a file from `range.0` up to, not including, `range.1`; `None` asks for the file.
    ///
    /// The body may begin elsewhere, where the host does not know ranges: see [`Body::start`].
    pub(crate) async fn bytes(
        &self,
        repo: &RepoId,
        commit: &str,
        listed: &ListedFile,
        range: Option<(u64, u64)>,
    ) -> Result<Body, Trouble> {
        let file = listed.path.as_str();
        let asked = Asked { repo, revision: commit, file: Some(file) };
        let mut request = self.request(&self.following, Method::GET, asked)?;
        if let Some((start, end)) = range {
            request = request.header(RANGE, format!("bytes={start}-{}", end - 1));
        }
        let response = self.send(asked, request).await?;
        let start = match (response.status(), range) {
            (StatusCode::PARTIAL_CONTENT, Some((wanted, _))) => match content_start(response.headers()) {
                Some(start) if start == wanted => start,
                _ => {
                    let error = self.unusable(format!("it sent another part of {file} than it was asked for"));
                    return Err(Trouble::new(error, Again::Briefly));
                }
            },
            // The login page of a proxy is a success, too; none of it may get between the bytes of a file.
            _ => match response.content_length() {
                Some(length) if length != listed.size => {
                    let error = self.unusable(format!("it sent {length} bytes for {file}, which has {}", listed.size));
                    return Err(Trouble::new(error, Again::Briefly));
                }
                _ => 0,
            },
        };
        Ok(Body { response, start, stall: self.limits.stall, window: Instant::now(), in_window: 0 })
    }

    fn request(&self, client: &reqwest::Client, method: Method, asked: Asked<'_>) -> Result<RequestBuilder, Trouble> {
        let place = [asked.repo.owner(), asked.repo.name(), "resolve", asked.revision];
        let url = self.url(place.into_iter().chain(asked.file.unwrap_or_default().split('/')))?;
        Ok(self.ask(client, method, url))
    }

    /// An address below the endpoint.
    pub(super) fn url<'a>(&self, parts: impl IntoIterator<Item = &'a str>) -> Result<Url, Trouble> {
        let no_url = || Trouble::never(CacheError::InvalidConfig { what: "the endpoint must be the URL of a Hub" });
        let mut url = Url::parse(&self.endpoint).map_err(|_| no_url())?;
        url.path_segments_mut().map_err(|()| no_url())?.pop_if_empty().extend(parts);
        Ok(url)
    }

    pub(super) fn ask(&self, client: &reqwest::Client, method: Method, url: Url) -> RequestBuilder {
        // Ranges are those of the file, not of a compressed form of it.
        let request = client.request(method, url).header(ACCEPT_ENCODING, "identity");
        match self.token() {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Whether an address is one that the token was given for.
    pub(super) fn is_at_the_hub(&self, url: &Url) -> bool {
        Url::parse(&self.endpoint).is_ok_and(|hub| hub.origin() == url.origin())
    }

    pub(super) async fn send(&self, asked: Asked<'_>, request: RequestBuilder) -> Result<Response, Trouble> {
        let response = match tokio::time::timeout(self.limits.stall, request.send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(self.no_answer(error, Again::Patiently(None))),
            Err(_) => return Err(Trouble { again: Again::Patiently(None), ..self.silent(self.limits.stall) }),
        };
        let status = response.status();
        // A redirect that is not followed is an answer to HEAD only.
        if status.is_success() || (status.is_redirection() && response.headers().contains_key("x-linked-etag")) {
            return Ok(response);
        }
        let text = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let answer = Answer {
            status: status.as_u16(),
            code: text("x-error-code"),
            message: text("x-error-message"),
            retry_after: retry_after.and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs),
        };
        let at_the_hub = self.is_at_the_hub(response.url());
        Err(if at_the_hub { self.refusal(asked, &answer) } else { self.refusal_elsewhere(&answer) })
    }

    /// What it means that a request had no answer. `again` is for an answer that may come later.
    pub(super) fn no_answer(&self, error: reqwest::Error, again: Again) -> Trouble {
        // The address that a redirect leads to is signed, and a signature is a secret.
        let error = error.without_url();
        if error.is_redirect() || error.is_builder() {
            Trouble::new(self.unusable(error), Again::Never)
        } else if error.is_decode() {
            Trouble::new(self.unusable(error), Again::Briefly)
        } else {
            Trouble::new(self.unreachable(error), again)
        }
    }
}

impl Body {
    /// The next bytes; `None` when the host has no more. Gives up a connection that is stalled.
    pub(crate) async fn next(&mut self, hub: &Hub, file: &str) -> Result<Option<Bytes>, Trouble> {
        let stalled = |after| {
            let error = CacheError::Stalled { endpoint: hub.endpoint.clone(), file: file.to_owned(), after };
            Trouble::new(error, Again::Patiently(None))
        };
        let Ok(chunk) = tokio::time::timeout(self.stall, self.response.chunk()).await else {
            return Err(stalled(self.stall));
        };
        let chunk = chunk.map_err(|error| hub.no_answer(error, Again::Patiently(None)))?;
        self.in_window += chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
        let elapsed = self.window.elapsed();
        if chunk.is_some() && elapsed >= self.stall {
            // As many bytes as lie below 2^53 are exact in a float, and it is a rough measure anyway.
            #[expect(clippy::cast_precision_loss, reason = "a rate")]
            if (self.in_window as f64) < SLOWEST * elapsed.as_secs_f64() {
                return Err(stalled(self.stall));
            }
            (self.window, self.in_window) = (Instant::now(), 0);
        }
        Ok(chunk)
    }
}

/// Where the part of an answer begins: `Content-Range: bytes START-END/LENGTH`.
fn content_start(headers: &HeaderMap) -> Option<u64> {
    let range = headers.get(CONTENT_RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split_once('-')?.0.parse().ok()
}

fn follow(attempt: redirect::Attempt<'_>) -> redirect::Action {
    if attempt.previous().len() > REDIRECTS {
        attempt.error("it redirects again and again")
    } else if attempt.url().scheme() == "http" && attempt.previous().iter().any(|url| url.scheme() == "https") {
        attempt.error("it redirects to an address without encryption")
    } else {
        attempt.follow()
    }
}

/// Follows only where a repository has been renamed: on the same host.
fn stay(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let same_host = attempt.previous().last().is_some_and(|from| from.origin() == attempt.url().origin());
    if same_host { follow(attempt) } else { attempt.stop() }
}
