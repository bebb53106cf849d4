//! Owns asking which commit a revision is: the only file that names hf-hub.

use std::time::Duration;

use hf_hub::{HFClient, HFError, HFResult};

use super::refusal::{Answer, Asked};
use super::{Again, Hub, Trouble};
use crate::{CacheError, RepoId};

/// Stands in for "no token". hf-hub takes a missing token from the environment and from the user's home, which a library
/// must not do; one that cannot be an HTTP header's value it never sends.
const NO_TOKEN: &str = "\n";

impl Hub {
    /// The commit that a revision is, 40 hexadecimal digits.
    pub(crate) async fn commit(&self, repo: &RepoId, revision: &str) -> Result<String, Trouble> {
        let asked = Asked { repo, revision, file: None };
        let model = self.listing_client(asked)?.model(repo.owner(), repo.name());
        let info = self.in_time(asked, model.info().revision(revision).send()).await?;
        info.sha
            .filter(|sha| crate::layout::is_commit(sha))
            .ok_or_else(|| Trouble::new(self.unusable("it did not say which commit the revision is"), Again::Briefly))
    }

    fn listing_client(&self, asked: Asked<'_>) -> Result<HFClient, Trouble> {
        // Each of these, unset, would be looked for in the environment. How often something is tried is decided by
        // `Patience`, which knows what the Hub asks for.
        HFClient::builder()
            .endpoint(self.endpoint())
            .token(self.token().unwrap_or(NO_TOKEN))
            .cache_enabled(false)
            .cache_dir("")
            .user_agent(super::http::USER_AGENT)
            .client(self.following().clone())
            .retry_max_attempts(0)
            .build()
            .map_err(|error| self.named(asked, error))
    }

    async fn in_time<T>(&self, asked: Asked<'_>, answer: impl Future<Output = HFResult<T>>) -> Result<T, Trouble> {
        match tokio::time::timeout(self.patience_for_an_answer(), answer).await {
            Ok(answer) => answer.map_err(|error| self.named(asked, error)),
            Err(_) => Err(self.silent(self.patience_for_an_answer())),
        }
    }

    pub(super) fn silent(&self, after: Duration) -> Trouble {
        let error = self.unreachable(format!("it did not answer within {} s", after.as_secs_f32()));
        Trouble::new(error, Again::Briefly)
    }

    /// Says in our words what the Hub or the way to it did.
    fn named(&self, asked: Asked<'_>, error: HFError) -> Trouble {
        match error {
            HFError::RateLimited { retry_after, .. } => {
                Trouble::new(CacheError::RateLimited { retry_after }, Again::Patiently(retry_after))
            }
            HFError::Http { ref context }
            | HFError::AuthRequired { ref context }
            | HFError::Forbidden { ref context }
            | HFError::RepoNotFound { context: Some(ref context), .. }
            | HFError::RevisionNotFound { context: Some(ref context), .. } => {
                let answer = Answer {
                    status: context.status.as_u16(),
                    code: context.error_code.as_deref().unwrap_or_default(),
                    message: context.server_message.as_deref().unwrap_or_default(),
                    retry_after: None,
                };
                self.refusal(asked, &answer)
            }
            HFError::Request { source, .. } => self.no_answer(source, Again::Briefly),
            other => Trouble::new(self.unusable(other), Again::Briefly),
        }
    }
}
