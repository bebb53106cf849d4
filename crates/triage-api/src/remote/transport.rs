//! [`Transport`]: JSON requests to one base address, with limits of time and size, and with errors
//! that name neither address nor content. Knows none of the API's paths.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::StoreError;

/// The longest answer that is read.
const MAX_BODY_BYTES: usize = 8 << 20;

/// A way to one server.
#[derive(Clone)]
pub(super) struct Transport {
    client: Client,
    base: Url,
}

impl Transport {
    /// Each request, from connecting to the last byte of its answer, may take `timeout`.
    pub(super) fn new(base_url: &str, timeout: Duration) -> Result<Self, StoreError> {
        let base = Url::parse(base_url).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let mut base = base.ok_or_else(|| upstream("its base address is not an http or https address"))?;
        base.set_query(None);
        base.set_fragment(None);
        let client = Client::builder()
            .timeout(timeout)
            .redirect(Policy::none())
            .no_proxy()
            .build()
            .map_err(|_| upstream("no HTTP client can be made"))?;
        Ok(Self { client, base })
    }

    /// Gets what is at a path; `None` when nothing is.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Option<T>, StoreError> {
        let Some(url) = self.url(path) else { return Ok(None) };
        let response = send(self.client.get(url).query(query)).await?;
        match response.status() {
            StatusCode::NOT_FOUND => Ok(None),
            _ => read(response).await.map(Some),
        }
    }

    /// Posts to a path that must exist.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<T, StoreError> {
        let url = self.url(path).ok_or_else(|| upstream("it has no such path"))?;
        read(send(self.client.post(url).json(body)).await?).await
    }

    /// The address of a path, its parts percent-encoded. `None` for the parts `.` and `..`, which
    /// would mean another path in every encoding.
    fn url(&self, path: &[&str]) -> Option<Url> {
        if path.iter().any(|part| matches!(*part, "" | "." | "..")) {
            return None;
        }
        let mut url = self.base.clone();
        url.path_segments_mut().ok()?.pop_if_empty().extend(path);
        Some(url)
    }
}

/// Shows nothing: a base address can hold a password.
impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Transport(hidden)")
    }
}

async fn send(request: RequestBuilder) -> Result<Response, StoreError> {
    request.send().await.map_err(failure)
}

/// The JSON of a successful answer.
async fn read<T: DeserializeOwned>(mut response: Response) -> Result<T, StoreError> {
    let status = response.status();
    if !status.is_success() {
        return Err(upstream(format!("it answered with status {}", status.as_u16())));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failure)? {
        if body.len() + chunk.len() > MAX_BODY_BYTES {
            return Err(upstream("its answer is too large"));
        }
        body.extend_from_slice(&chunk);
    }
    // The parser's own message can quote what it read.
    serde_json::from_slice(&body).map_err(|_| upstream("its answer is not the expected JSON"))
}

/// [`StoreError::Upstream`] for a reason without address or content.
pub(super) fn upstream(reason: impl Into<String>) -> StoreError {
    StoreError::Upstream { reason: reason.into() }
}

/// What went wrong below HTTP, in fixed words: reqwest's own message ends in the address.
fn failure(error: reqwest::Error) -> StoreError {
    let error = error.without_url();
    if error.is_timeout() {
        return StoreError::UpstreamTimeout;
    }
    let what = if error.is_connect() { "it cannot be reached" } else { "the connection failed" };
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return upstream(format!("{what}: {}", error.kind()));
        }
        source = error.source();
    }
    upstream(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_encoded_below_the_base() {
        let transport = Transport::new("http://user:secret@localhost:9/api/?x=1#y", Duration::from_secs(1)).unwrap();
        let url = transport.url(&["chat-logs", "a/b ?#%2e"]).unwrap();
        assert_eq!(url.path(), "/api/chat-logs/a%2Fb%20%3F%23%252e");
        assert_eq!((url.query(), url.fragment()), (None, None));
        assert!(transport.url(&["patients", "..", "summary"]).is_none());
        assert_eq!(format!("{transport:?}"), "Transport(hidden)");
    }

    #[test]
    fn other_schemes_are_refused() {
        for address in ["", "localhost:8001", "ftp://localhost", "unix:/run/db"] {
            assert!(matches!(Transport::new(address, Duration::from_secs(1)), Err(StoreError::Upstream { .. })));
        }
    }
}
