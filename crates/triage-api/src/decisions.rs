//! Decisions: who answers, as operators have decided it, and where that is kept.

use futures_util::future::BoxFuture;
use llm_client::Routing;

use crate::error::StoreError;

/// What operators have decided last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The mode that was configured then: a service that is configured with another one does not obey.
    pub llm_mode: String,
    /// Who answers.
    pub routing: Routing,
}

/// Where the last decision is kept.
pub trait Decisions: Send + Sync {
    /// The last decision; `None` where there is none.
    fn read(&self) -> BoxFuture<'_, Result<Option<Decision>, StoreError>>;

    /// Keeps a decision instead of the one before; `None` forgets that.
    fn write(&self, decision: Option<Decision>) -> BoxFuture<'_, Result<(), StoreError>>;
}
