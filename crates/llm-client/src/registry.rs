//! [`Registry`]: the modes of a client, and who answers when a request names none; it changes while
//! requests run.
//!
//! A request keeps the `Arc` of its entry, and of the model that answers it: a change drops no request,
//! and an unloaded model's memory is given back when its last answer is finished.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::candidates::Candidates;
use crate::entry::Entry;
use crate::error::LlmError;
use crate::memory_budget::MemoryBudget;
use crate::routing::{RouteKey, Routing};

/// Where a rollback ends when no earlier default can answer.
const LAST_RESORT: &str = "mock";

/// The modes, and who answers.
#[derive(Debug)]
pub struct Registry {
    entries: Vec<Arc<Entry>>,
    routing: Mutex<Arc<Routing>>,
    /// Who answers when those cannot who should.
    fallback: Vec<Arc<Entry>>,
    budget: Option<MemoryBudget>,
}

impl Registry {
    /// A registry of `entries`, of which `default_mode` answers when a request names none.
    ///
    /// # Errors
    /// [`LlmError::UnknownMode`] when no entry answers to `default_mode`.
    pub fn new(entries: Vec<Entry>, default_mode: &str) -> Result<Self, LlmError> {
        let entries: Vec<Arc<Entry>> = entries.into_iter().map(Arc::new).collect();
        let default = find(&entries, default_mode)?.name().to_owned();
        Ok(Self { entries, routing: Mutex::new(Arc::new(Routing::to(default))), fallback: Vec::new(), budget: None })
    }

    /// Shows operators the budget that the backends were made with.
    #[must_use]
    pub fn with_budget(self, budget: MemoryBudget) -> Self {
        Self { budget: Some(budget), ..self }
    }

    /// Lets modes answer, in this order, what names no mode when the one that should answer cannot.
    ///
    /// # Errors
    /// [`LlmError::UnknownMode`].
    pub fn with_fallback(self, modes: &[String]) -> Result<Self, LlmError> {
        let fallback = modes.iter().map(|mode| self.entry(mode)).collect::<Result<_, _>>()?;
        Ok(Self { fallback, ..self })
    }

    /// Who answers, in this order, when those cannot who should.
    pub fn fallback(&self) -> &[Arc<Entry>] {
        &self.fallback
    }

    /// All modes.
    pub fn entries(&self) -> &[Arc<Entry>] {
        &self.entries
    }

    /// Memory that the models of this process may take; `None` where nothing limits it.
    pub fn budget(&self) -> Option<&MemoryBudget> {
        self.budget.as_ref()
    }

    /// The mode of that name or alias.
    ///
    /// # Errors
    /// [`LlmError::UnknownMode`], which lists the modes.
    pub fn entry(&self, mode: &str) -> Result<Arc<Entry>, LlmError> {
        find(&self.entries, mode)
    }

    /// Who answers now.
    pub fn routing(&self) -> Arc<Routing> {
        Arc::clone(&self.locked())
    }

    /// The default mode.
    pub fn default_entry(&self) -> Arc<Entry> {
        self.known(&self.routing().default)
    }

    /// Who answers a request that names no mode: the model that answered before in its conversation, as
    /// long as it answers at all, else whom the person's hash falls to.
    pub fn route(&self, key: RouteKey<'_>) -> Arc<Entry> {
        let routing = self.routing();
        let own = self.known(routing.of_person(key.person));
        let is_last = |entry: &Arc<Entry>| key.last_model.is_some_and(|last| entry.model().to_string() == last);
        if is_last(&own) {
            // Several modes can have one model, with other settings: of those, the person's own.
            return own;
        }
        routing.answering().map(|name| self.known(name)).find(is_last).unwrap_or(own)
    }

    /// As [`Registry::route`], then who answers when that one cannot.
    pub fn candidates(&self, key: RouteKey<'_>) -> Candidates {
        Candidates::new(self.route(key), &self.fallback)
    }

    /// The mode that answers in the background what another answers, where there is one.
    pub fn shadow(&self) -> Option<Arc<Entry>> {
        self.routing().shadow.as_deref().map(|mode| self.known(mode))
    }

    /// Lets `mode` answer in the background what others answer; `None` ends that.
    ///
    /// # Errors
    /// As [`Registry::set_default`].
    pub fn set_shadow(&self, mode: Option<&str>) -> Result<Arc<Routing>, LlmError> {
        let mut routing = self.locked();
        let shadow = mode.map(|mode| self.able(mode)).transpose()?.map(|entry| entry.name().to_owned());
        let next = Routing { shadow, ..Routing::clone(&routing) };
        Ok(replace(&mut routing, next))
    }

    /// Lets `mode` answer everything.
    ///
    /// # Errors
    /// [`LlmError::UnknownMode`]; [`LlmError::Conflict`] when it cannot answer yet.
    pub fn set_default(&self, mode: &str) -> Result<Arc<Routing>, LlmError> {
        let mut routing = self.locked();
        let entry = self.able(mode)?;
        let next = Routing::clone(&routing).with_default(entry.name());
        Ok(replace(&mut routing, next))
    }

    /// Shares requests between modes by their weights (an A/B test); those of weight 0 get none, and
    /// where none are left the default answers everything.
    ///
    /// # Errors
    /// As [`Registry::set_default`].
    pub fn set_weights(&self, weights: &[(String, u32)]) -> Result<Arc<Routing>, LlmError> {
        let mut routing = self.locked();
        let mut named = BTreeMap::new();
        for (mode, weight) in weights.iter().filter(|(_, weight)| *weight > 0) {
            let entry = self.able(mode)?;
            if named.insert(entry.name().to_owned(), *weight).is_some() {
                return Err(LlmError::InvalidRequest(format!("{} has two weights", entry.name())));
            }
        }
        if named.is_empty() {
            self.able(&routing.default)?;
        }
        let next = Routing { weights: named, ..Routing::clone(&routing) };
        Ok(replace(&mut routing, next))
    }

    /// Lets the default before this one answer everything: the last one that can, else `mock`.
    ///
    /// # Errors
    /// [`LlmError::Conflict`] when there is none.
    pub fn roll_back(&self) -> Result<Arc<Routing>, LlmError> {
        let mut routing = self.locked();
        let mut previous = routing.previous.clone();
        let earlier = std::iter::from_fn(|| previous.pop()).find_map(|mode| self.able(&mode).ok());
        let Some(entry) = earlier.or_else(|| self.able(LAST_RESORT).ok()) else {
            return Err(LlmError::Conflict("no earlier default can answer, and there is no mock".to_owned()));
        };
        let next = Routing { previous, ..Routing::to(entry.name()) };
        Ok(replace(&mut routing, next))
    }

    /// Takes over what another process, or an earlier one, decided.
    ///
    /// # Errors
    /// [`LlmError::UnknownMode`] when it names a mode that is not here; nothing changes then.
    pub fn adopt(&self, routing: Routing) -> Result<Arc<Routing>, LlmError> {
        routing.needed().chain([routing.default.as_str()]).try_for_each(|mode| self.entry(mode).map(drop))?;
        Ok(replace(&mut self.locked(), routing))
    }

    /// Starts to load a mode's model; returns at once.
    ///
    /// # Errors
    /// [`LlmError::UnknownMode`]; [`LlmError::Conflict`] when there is no room for it.
    pub fn load(&self, mode: &str) -> Result<Arc<Entry>, LlmError> {
        let entry = self.entry(mode)?;
        entry.load()?;
        Ok(entry)
    }

    /// Unloads the models that nobody needs for this routing or the one of now, for want of memory.
    pub fn make_room(&self, wanted: &Routing) {
        let routing = self.locked();
        let needed: Vec<&str> = routing.needed().chain(wanted.needed()).collect();
        let idle = self.entries.iter().filter(|entry| entry.memory() > 0 && !needed.contains(&entry.name()));
        idle.for_each(|entry| entry.unload());
    }

    /// Forgets a mode's model, whose last answers are finished.
    ///
    /// # Errors
    /// [`LlmError::UnknownMode`]; [`LlmError::Conflict`] for a mode that answers requests.
    pub fn unload(&self, mode: &str) -> Result<Arc<Entry>, LlmError> {
        let entry = self.entry(mode)?;
        let routing = self.locked();
        if routing.answering().any(|answering| answering == entry.name()) {
            return Err(LlmError::Conflict(format!("{} answers requests: choose another default first", entry.name())));
        }
        if routing.shadow.as_deref() == Some(entry.name()) {
            return Err(LlmError::Conflict(format!("{} answers in the background: end that first", entry.name())));
        }
        entry.unload();
        Ok(entry)
    }

    /// A mode that answers at once.
    fn able(&self, mode: &str) -> Result<Arc<Entry>, LlmError> {
        let entry = self.entry(mode)?;
        if entry.is_loaded() {
            return Ok(entry);
        }
        Err(LlmError::Conflict(format!("{} is not loaded ({}): load it first", entry.name(), entry.status().stage())))
    }

    /// A mode that a routing names; every change has checked that it is here.
    fn known(&self, mode: &str) -> Arc<Entry> {
        self.entry(mode).unwrap_or_else(|_| Arc::clone(&self.entries[0]))
    }

    fn locked(&self) -> MutexGuard<'_, Arc<Routing>> {
        self.routing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn replace(routing: &mut Arc<Routing>, next: Routing) -> Arc<Routing> {
    tracing::info!(default = next.default, weights = ?next.weights, shadow = next.shadow, "who answers has changed");
    *routing = Arc::new(next);
    Arc::clone(routing)
}

fn find(entries: &[Arc<Entry>], mode: &str) -> Result<Arc<Entry>, LlmError> {
    entries.iter().find(|entry| entry.answers_to(mode)).cloned().ok_or_else(|| LlmError::UnknownMode {
        mode: mode.to_owned(),
        known: entries.iter().flat_map(|entry| entry.names().cloned()).collect(),
    })
}
