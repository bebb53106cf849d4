//! A request on its way: as it came, and ready for the engine.

use std::time::Instant;

use super::deadline::Deadline;
use super::stream::EventSender;
use super::waiting_room::Ticket;
use crate::TokenId;
use crate::generation::{GenerationRequest, Writer};
use crate::sampling::{Sampler, TokenHistory};

/// A request as it came.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) request: GenerationRequest,
    /// When it came.
    pub(super) arrival: Instant,
    pub(super) events: EventSender,
    pub(super) ticket: Ticket,
}

/// A request whose prompt is tokenized and fits.
pub(super) struct Job {
    pub(super) prompt: Vec<TokenId>,
    /// Tokens that its sequence can grow to.
    pub(super) most: usize,
    pub(super) writer: Writer,
    pub(super) sampler: Sampler,
    pub(super) history: TokenHistory,
    pub(super) events: EventSender,
    pub(super) deadline: Option<Deadline>,
    /// Its place in the waiting room, until it runs.
    pub(super) ticket: Ticket,
}
