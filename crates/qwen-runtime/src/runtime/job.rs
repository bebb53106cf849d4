//! A request on its way: as it came, and ready for the engine.

use super::stream::EventSender;
use super::waiting_room::Ticket;
use crate::TokenId;
use crate::generation::{GenerationRequest, Writer};
use crate::sampling::{Sampler, TokenHistory};

/// A request as it came.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) request: GenerationRequest,
    pub(super) events: EventSender,
    pub(super) ticket: Ticket,
}

/// A request whose prompt is tokenized and fits.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) prompt: Vec<TokenId>,
    /// Tokens that its sequence can grow to.
    pub(super) reserved: usize,
    pub(super) writer: Writer,
    pub(super) sampler: Sampler,
    pub(super) history: TokenHistory,
    pub(super) events: EventSender,
    /// Its place in the waiting room, until it runs.
    pub(super) ticket: Ticket,
}
