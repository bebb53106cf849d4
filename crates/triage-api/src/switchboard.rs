//! [`Switchboard`]: changes who answers, keeps the decision, and follows those that others made.
//!
//! Owns that a decision which is obeyed is also kept, so that it outlives this process and every
//! replica comes to obey it. It must not know HTTP or SQL.

use std::sync::Arc;
use std::time::Duration;

use llm_client::{BackendStatus, LlmClient, LlmError, Registry, Routing};
use tokio::sync::Mutex;

use crate::decisions::{Decision, Decisions};
use crate::error::{StoreError, TriageError};

/// How often the store is asked for a decision that another replica has made.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Who answers, and how that changes.
pub struct Switchboard {
    llm: LlmClient,
    /// The mode that was configured.
    configured: String,
    /// `None` where decisions last as long as this process.
    store: Option<Arc<dyn Decisions>>,
    /// One change at a time.
    changing: Mutex<()>,
}

impl std::fmt::Debug for Switchboard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Switchboard").field("configured", &self.configured).finish_non_exhaustive()
    }
}

impl Switchboard {
    /// A switchboard of `llm`, whose default mode is the one that was configured.
    #[must_use]
    pub fn new(llm: LlmClient, store: Option<Arc<dyn Decisions>>) -> Self {
        let configured = llm.default_entry().name().to_owned();
        Self { llm, configured, store, changing: Mutex::new(()) }
    }

    /// The modes, and who answers.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        self.llm.registry()
    }

    /// Changes who answers, and keeps that; what cannot be kept is not obeyed either.
    ///
    /// # Errors
    /// What `change` says, or [`TriageError::Decisions`].
    pub async fn decide(
        &self,
        change: impl FnOnce(&Registry) -> Result<Arc<Routing>, LlmError>,
    ) -> Result<(), TriageError> {
        let _one = self.changing.lock().await;
        let before = self.registry().routing();
        let routing = Routing::clone(&*change(self.registry())?);
        if let Some(store) = &self.store {
            let decision = Decision { llm_mode: self.configured.clone(), routing };
            if let Err(error) = store.write(Some(decision)).await {
                self.registry().adopt(Routing::clone(&before))?;
                return Err(TriageError::Decisions(error));
            }
        }
        Ok(())
    }

    /// Obeys the decision that is kept, and starts to load its models. One that was made when another
    /// mode was configured is forgotten: the configuration has changed since, and wins.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be used.
    pub async fn restore(&self) -> Result<(), StoreError> {
        let Some(store) = &self.store else { return Ok(()) };
        match store.read().await? {
            None => {}
            Some(decision) if decision.llm_mode == self.configured => self.restore_routing(decision.routing),
            Some(decision) => {
                tracing::info!(
                    before = decision.llm_mode,
                    now = self.configured,
                    "LLM_MODE has changed: what operators decided before is forgotten"
                );
                store.write(None).await?;
            }
        }
        Ok(())
    }

    fn restore_routing(&self, routing: Routing) {
        let names: Vec<String> = routing.needed().map(str::to_owned).collect();
        if let Err(error) = self.registry().adopt(routing) {
            tracing::warn!(%error, "what operators decided before cannot be obeyed");
            return;
        }
        for name in names {
            if let Err(error) = self.registry().load(&name) {
                tracing::error!(%error, "a model that answers is not loaded");
            }
        }
    }

    /// Follows the decisions of other replicas, for ever.
    pub async fn follow(&self) {
        if self.store.is_none() {
            return;
        }
        let mut last = String::new();
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let said = self.catch_up().await.err().map(|error| error.to_string()).unwrap_or_default();
            // What lasts is said once.
            if said != last && !said.is_empty() {
                tracing::warn!(error = said, "the decisions of other replicas are not followed for now");
            }
            last = said;
        }
    }

    /// Obeys the decision that is kept, as soon as its models are loaded here.
    async fn catch_up(&self) -> Result<(), TriageError> {
        let Some(store) = &self.store else { return Ok(()) };
        let _one = self.changing.lock().await;
        let wanted = match store.read().await.map_err(TriageError::Decisions)? {
            Some(decision) if decision.llm_mode == self.configured => decision.routing,
            // A replica that is configured otherwise has its own.
            Some(_) => return Ok(()),
            None => Routing::to(&self.configured),
        };
        let registry = self.registry();
        let differs = wanted != *registry.routing();
        let mut all_loaded = true;
        for name in wanted.needed() {
            let entry = registry.entry(name)?;
            all_loaded &= entry.is_loaded();
            // One that failed is tried again in its own time.
            let is_empty = match entry.status() {
                BackendStatus::Unloaded => true,
                BackendStatus::Idle => differs,
                _ => false,
            };
            if is_empty && registry.load(name).is_err() {
                registry.make_room(&wanted);
                registry.load(name)?;
            }
        }
        if all_loaded && differs {
            registry.adopt(wanted)?;
        }
        Ok(())
    }
}
