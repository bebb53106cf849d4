//! Owns the transfer from the Hub: the only file that names hf-hub, and the place where its errors become ours. Must
//! not decide whether a model is whole.
//!
//! hf-hub writes to the disk with blocking calls, so a download runs on a thread and a runtime of its own and never
//! holds up its caller's tasks. Dropping the future stops it.

use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::{io, thread};

use futures_util::StreamExt;
use hf_hub::progress::{DownloadEvent, Progress, ProgressEvent, ProgressHandler};
use hf_hub::repository::RepoTreeEntry;
use hf_hub::{HFClient, HFError, HFResult};
use tokio::sync::{mpsc, oneshot};

use crate::tally::Tally;
use crate::{AccessToken, CacheError, Denial, FetchEvent, RepoId, checkpoint};

/// The Hub itself.
const HUGGING_FACE: &str = "https://huggingface.co";

/// Stands in for "no token". hf-hub takes a missing token from the environment and from the user's home, which a library
/// must not do; one that cannot be an HTTP header's value it never sends.
const NO_TOKEN: &str = "\n";

/// What to transfer from where to where.
#[derive(Debug)]
pub(crate) struct Download {
    pub(crate) dir: PathBuf,
    pub(crate) endpoint: Option<String>,
    pub(crate) token: Option<AccessToken>,
    pub(crate) repo: RepoId,
    pub(crate) revision: String,
    /// One file, or with `None` a safetensors checkpoint.
    pub(crate) file: Option<String>,
}

/// What has been transferred.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// The directory of the commit.
    pub(crate) path: PathBuf,
    /// The files that the Hub has of those that were asked for, with their sizes in bytes.
    pub(crate) files: Vec<(String, u64)>,
}

impl Download {
    /// Transfers, calling `progress` on the caller's task.
    pub(crate) async fn run(self, progress: &(dyn Fn(FetchEvent) + Send + Sync)) -> Result<Snapshot, CacheError> {
        let (events, mut received) = mpsc::unbounded_channel();
        let (answer, outcome) = oneshot::channel();
        let dir = self.dir.clone();
        let io_error = |error| CacheError::io(&dir, error);
        thread::Builder::new()
            .name("model-download".to_owned())
            .spawn(move || self.run_here(events, answer))
            .map_err(io_error)?;
        let mut outcome = pin!(outcome);
        loop {
            tokio::select! {
                biased;
                Some(event) = received.recv() => progress(event),
                result = &mut outcome => {
                    while let Ok(event) = received.try_recv() {
                        progress(event);
                    }
                    return result.unwrap_or_else(|_| Err(io_error(io::Error::other("the download thread ended"))));
                }
            }
        }
    }

    fn run_here(
        self,
        events: mpsc::UnboundedSender<FetchEvent>,
        mut answer: oneshot::Sender<Result<Snapshot, CacheError>>,
    ) {
        // Not a current-thread runtime: Xet transfers would then start a further runtime beside it.
        let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                let _ = answer.send(Err(CacheError::io(&self.dir, error)));
                return;
            }
        };
        runtime.block_on(async {
            let result = tokio::select! {
                result = self.transfer(events) => result,
                () = answer.closed() => return,
            };
            let _ = answer.send(result.map_err(|error| self.named(error)));
        });
        runtime.shutdown_background();
    }

    async fn transfer(&self, events: mpsc::UnboundedSender<FetchEvent>) -> HFResult<Snapshot> {
        // Each of these, unset, would be looked for in the environment.
        let client = HFClient::builder()
            .endpoint(self.endpoint())
            .token(self.token.as_ref().map_or(NO_TOKEN, AccessToken::expose))
            .cache_dir(&self.dir)
            .user_agent(concat!("model-cache/", env!("CARGO_PKG_VERSION")))
            .build()?;
        let repo = client.model(self.repo.owner(), self.repo.name());
        let (wanted, ignored) = self.patterns();
        let path = repo
            .snapshot_download()
            .revision(&self.revision)
            .allow_patterns(wanted)
            .ignore_patterns(ignored)
            .progress(Progress::new(Reporter { tally: Mutex::default(), events }))
            .send()
            .await?;
        // hf-hub does not look at the status of the answer that it writes to the disk, so the sizes are asked for.
        let commit = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut entries = pin!(repo.list_tree().revision(commit).recursive(true).send()?);
        let mut files = Vec::new();
        while let Some(entry) = entries.next().await {
            if let RepoTreeEntry::File { path: file, size, .. } = entry?
                && self.wants(&file)
                && path.join(&file).exists()
            {
                files.push((file, size));
            }
        }
        Ok(Snapshot { path, files })
    }

    /// Globs to transfer and globs to leave. In these globs a star also matches `/`, so folders are excluded by name.
    fn patterns(&self) -> (Vec<String>, Vec<String>) {
        match &self.file {
            Some(file) => (vec![file.clone()], Vec::new()),
            None => (checkpoint::WANTED.map(str::to_owned).to_vec(), vec!["*/*".to_owned()]),
        }
    }

    fn wants(&self, listed: &str) -> bool {
        self.file.as_deref().map_or_else(|| checkpoint::wants(listed), |file| file == listed)
    }

    fn endpoint(&self) -> &str {
        self.endpoint.as_deref().unwrap_or(HUGGING_FACE)
    }

    /// Says in our words what the Hub or the way to it did.
    fn named(&self, error: HFError) -> CacheError {
        match error {
            HFError::Io(source) => CacheError::io(&self.dir, source),
            HFError::CacheLockTimeout { path } => CacheError::Busy { path },
            HFError::RateLimited { retry_after, .. } => CacheError::RateLimited { retry_after },
            HFError::Http { ref context }
            | HFError::AuthRequired { ref context }
            | HFError::Forbidden { ref context }
            | HFError::RepoNotFound { context: Some(ref context), .. }
            | HFError::RevisionNotFound { context: Some(ref context), .. } => {
                let answer = Answer {
                    status: context.status.as_u16(),
                    code: context.error_code.as_deref().unwrap_or_default(),
                    message: context.server_message.as_deref().unwrap_or_default(),
                };
                self.refusal(&answer).unwrap_or_else(|| self.unusable(error))
            }
            HFError::Request { ref source, .. } if !source.is_decode() => {
                CacheError::Network { endpoint: self.endpoint().to_owned(), source: Box::new(error) }
            }
            other => self.unusable(other),
        }
    }

    fn unusable(&self, error: HFError) -> CacheError {
        CacheError::Hub { endpoint: self.endpoint().to_owned(), source: Box::new(error) }
    }

    fn refusal(&self, answer: &Answer<'_>) -> Option<CacheError> {
        let not_found = |revision| Some(CacheError::NotFound { repo: self.repo.clone(), revision });
        let denied = |denial| {
            let answer = if answer.message.is_empty() { "nothing" } else { answer.message }.to_owned();
            Some(CacheError::AccessDenied { repo: self.repo.clone(), denial, answer })
        };
        match (answer.status, answer.code) {
            (401 | 403 | 404, "RepoNotFound") => not_found(None),
            (404, _) if answer.message.contains("Repository not found") => not_found(None),
            (404, _) => not_found(Some(self.revision.clone())),
            // To a caller without a token, the Hub says this of a repository that does not exist.
            (401, "") if self.token.is_none() && answer.message.contains("Invalid username or password") => {
                not_found(None)
            }
            (401 | 403, _) if self.token.is_none() => denied(Denial::TokenNeeded),
            (401, code) if code != "GatedRepo" => denied(Denial::TokenRejected),
            (401 | 403, _) => denied(Denial::NotPermitted),
            (429, _) => Some(CacheError::RateLimited { retry_after: None }),
            _ => None,
        }
    }
}

/// What the Hub answered instead of what it was asked for.
struct Answer<'a> {
    status: u16,
    /// Its `X-Error-Code`, or nothing.
    code: &'a str,
    message: &'a str,
}

/// Turns hf-hub's events into ours and hands them to whoever waits.
struct Reporter {
    tally: Mutex<Tally>,
    events: mpsc::UnboundedSender<FetchEvent>,
}

impl ProgressHandler for Reporter {
    fn on_progress(&self, event: &ProgressEvent) {
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        let send = |event: Option<FetchEvent>| {
            // Nobody listens any more when the download has been given up.
            event.into_iter().for_each(|event| drop(self.events.send(event)));
        };
        match event {
            ProgressEvent::Download(DownloadEvent::Start { total_files, total_bytes }) => {
                send(tally.start(*total_files, *total_bytes));
            }
            ProgressEvent::Download(DownloadEvent::Progress { files }) => {
                for file in files {
                    send(tally.advance(&file.filename, file.bytes_completed, file.total_bytes));
                }
            }
            _ => {}
        }
    }
}
