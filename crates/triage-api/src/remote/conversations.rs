//! Conversations in the chat logs of the DB API.

use futures_util::future::BoxFuture;
use serde::Deserialize;

use super::chat_log::{NewChatLog, merge};
use super::db_api::{DbApi, MAX_PAGE, ping};
use super::transport::upstream;
use crate::conversations::{Conversation, Conversations, NewConversation, Turn};
use crate::error::StoreError;
use crate::mrn::Mrn;
use crate::records::Page;

/// Where the API keeps chat logs.
const CHAT_LOGS: &str = "chat-logs";
/// Pages of a patient's chat logs that are searched for the turns of one conversation.
const MAX_PAGES: u32 = 100;

#[derive(Deserialize)]
struct ChatLogPage {
    items: Vec<Conversation>,
    total: u64,
}

impl DbApi {
    /// The chat log that the API finds first under a conversation's id.
    async fn any_turn(&self, id: &str) -> Result<Option<Conversation>, StoreError> {
        self.chat_logs.get(&[CHAT_LOGS, id], &[]).await
    }

    async fn page(&self, patient: Option<&str>, page: Page) -> Result<ChatLogPage, StoreError> {
        let (skip, limit) = (page.skip.to_string(), page.limit.clamp(1, MAX_PAGE).to_string());
        let mut query = vec![("skip", skip.as_str()), ("limit", limit.as_str())];
        query.extend(patient.map(|mrn| ("patient_mrn", mrn)));
        self.chat_logs.get(&[CHAT_LOGS], &query).await?.ok_or_else(|| upstream("it has no list of chat logs"))
    }

    /// All turns of a conversation. The API searches by patient only, so the patient's chat logs
    /// are read page by page.
    async fn turns(&self, id: &str, patient: &str) -> Result<Vec<Conversation>, StoreError> {
        let mut turns = Vec::new();
        for number in 0..MAX_PAGES {
            let page = Page { skip: number * MAX_PAGE, limit: MAX_PAGE };
            let ChatLogPage { items, total } = self.page(Some(patient), page).await?;
            let end = items.is_empty() || u64::from(page.skip) + items.len() as u64 >= total;
            turns.extend(items.into_iter().filter(|turn| turn.conversation_id == id));
            if end {
                return Ok(turns);
            }
        }
        // Part of a conversation would look like the whole of it.
        Err(upstream("it has too many chat logs of one patient"))
    }
}

/// Every turn is a chat log of its own (see `chat_log`). A page of the list counts chat logs, in
/// the API's own order, and shows those of one conversation that fall on it as one.
impl Conversations for DbApi {
    fn create(&self, new: NewConversation) -> BoxFuture<'_, Result<Conversation, StoreError>> {
        Box::pin(async move {
            // The API would take a second conversation under the same id for more of the first.
            if let Some(id) = &new.conversation_id
                && self.any_turn(id).await?.is_some()
            {
                return Err(StoreError::Conflict);
            }
            let chat_log = NewChatLog {
                patient_mrn: new.patient_mrn.as_str(),
                channel: &new.channel,
                messages: &new.turn.messages,
                retrieval_events: &new.turn.retrieval_events,
                trace_id: new.trace_id.as_deref(),
                conversation_id: new.conversation_id.as_deref(),
            };
            self.chat_logs.post(&[CHAT_LOGS], &chat_log).await
        })
    }

    fn append<'a>(&'a self, id: &'a str, turn: Turn) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let conversation = self.any_turn(id).await?.ok_or(StoreError::NotFound)?;
            let chat_log = NewChatLog::next_turn(&conversation, &turn);
            let _stored: Conversation = self.chat_logs.post(&[CHAT_LOGS], &chat_log).await?;
            Ok(())
        })
    }

    fn get<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<Conversation>, StoreError>> {
        Box::pin(async move {
            let Some(any) = self.any_turn(id).await? else { return Ok(None) };
            let turns = self.turns(id, &any.patient_mrn).await?;
            Ok(merge(turns).into_iter().next().or(Some(any)))
        })
    }

    fn list<'a>(
        &'a self,
        patient: Option<&'a Mrn>,
        page: Page,
    ) -> BoxFuture<'a, Result<(Vec<Conversation>, u64), StoreError>> {
        Box::pin(async move {
            let found = self.page(patient.map(Mrn::as_str), page).await?;
            Ok((merge(found.items), found.total))
        })
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(ping(&self.chat_logs))
    }
}
