//! [`PostgresConversations`]: conversations in PostgreSQL, one row for each message.

use futures_util::future::BoxFuture;
use sqlx::types::Json;
use sqlx::{Postgres, Transaction};

use super::database::{Database, json};
use super::failure::store_error;
use crate::conversations::identity::Stamp;
use crate::conversations::{Conversation, Conversations, NewConversation, Turn};
use crate::error::StoreError;
use crate::mrn::Mrn;
use crate::records::Page;

/// The statement that reads whole conversations, each as one JSON object, with the end that chooses
/// which.
macro_rules! select_conversations {
    ($which:literal) => {
        concat!(
            "SELECT json_build_object(
               '_id', c.id, 'conversation_id', c.conversation_id, 'patient_mrn', c.patient_mrn, 'channel', c.channel,
               'started_at', c.started_at, 'ended_at', c.ended_at, 'trace_id', c.trace_id,
               'messages',
               (SELECT coalesce(json_agg(body::json ORDER BY seq), '[]') FROM messages WHERE conversation = c.seq),
               'retrieval_events',
               (SELECT json_agg(body::json ORDER BY seq) FROM retrieval_events WHERE conversation = c.seq))
             FROM conversations c ",
            $which
        )
    };
}

/// Conversations in a PostgreSQL database.
#[derive(Debug, Clone)]
pub struct PostgresConversations {
    database: Database,
}

impl PostgresConversations {
    pub(super) fn new(database: Database) -> Self {
        Self { database }
    }

    async fn insert(&self, new: NewConversation) -> sqlx::Result<Conversation> {
        let stamp = Stamp::now();
        let conversation_id = new.conversation_id.unwrap_or_else(|| stamp.conversation_id(&new.patient_mrn));
        let mut transaction = self.database.begin().await?;
        let seq: i64 = sqlx::query_scalar(
            "INSERT INTO conversations (id, conversation_id, patient_mrn, channel, started_at, ended_at, trace_id)
             VALUES ($1, $2, $3, $4, $5, $5, $6) RETURNING seq",
        )
        .bind(stamp.object_id())
        .bind(&conversation_id)
        .bind(new.patient_mrn.as_str())
        .bind(new.channel)
        .bind(stamp.iso())
        .bind(new.trace_id)
        .fetch_one(&mut *transaction)
        .await?;
        insert_turn(&mut transaction, seq, new.turn, stamp).await?;
        let Json(conversation) = sqlx::query_scalar(select_conversations!("WHERE c.seq = $1"))
            .bind(seq)
            .fetch_one(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(conversation)
    }

    /// Whether there is such a conversation.
    async fn extend(&self, id: &str, turn: Turn) -> sqlx::Result<bool> {
        let mut transaction = self.database.begin().await?;
        let seq: Option<i64> =
            sqlx::query_scalar("SELECT seq FROM conversations WHERE conversation_id = $1 FOR UPDATE")
                .bind(id)
                .fetch_optional(&mut *transaction)
                .await?;
        let Some(seq) = seq else { return Ok(false) };
        // Stamped while holding the conversation's lock: times then rise in the order of the messages.
        let stamp = Stamp::now();
        sqlx::query("UPDATE conversations SET ended_at = $2 WHERE seq = $1")
            .bind(seq)
            .bind(stamp.iso())
            .execute(&mut *transaction)
            .await?;
        insert_turn(&mut transaction, seq, turn, stamp).await?;
        transaction.commit().await?;
        Ok(true)
    }

    async fn select(&self, id: &str) -> sqlx::Result<Option<Conversation>> {
        let found: Option<Json<Conversation>> =
            sqlx::query_scalar(select_conversations!("WHERE c.conversation_id = $1"))
                .bind(id)
                .fetch_optional(self.database.pool())
                .await?;
        Ok(found.map(|Json(conversation)| conversation))
    }

    async fn select_page(&self, patient: Option<&Mrn>, page: Page) -> sqlx::Result<(Vec<Conversation>, u64)> {
        let pool = self.database.pool();
        let (count, select) = match patient {
            Some(mrn) => (
                sqlx::query_scalar("SELECT count(*) FROM conversations WHERE patient_mrn = $1").bind(mrn.as_str()),
                sqlx::query_scalar(select_conversations!(
                    "WHERE c.patient_mrn = $3 ORDER BY c.seq DESC LIMIT $1 OFFSET $2"
                )),
            ),
            None => (
                sqlx::query_scalar("SELECT count(*) FROM conversations"),
                sqlx::query_scalar(select_conversations!("ORDER BY c.seq DESC LIMIT $1 OFFSET $2")),
            ),
        };
        let total: i64 = count.fetch_one(pool).await?;
        let mut select = select.bind(i64::from(page.limit)).bind(i64::from(page.skip));
        if let Some(mrn) = patient {
            select = select.bind(mrn.as_str());
        }
        let found: Vec<Json<Conversation>> = select.fetch_all(pool).await?;
        Ok((found.into_iter().map(|Json(conversation)| conversation).collect(), total.unsigned_abs()))
    }
}

/// Stores a turn at the end of conversation `seq`; messages without a time get that of `stamp`.
async fn insert_turn(
    transaction: &mut Transaction<'_, Postgres>,
    seq: i64,
    turn: Turn,
    stamp: Stamp,
) -> sqlx::Result<()> {
    for mut message in turn.messages {
        message.timestamp.get_or_insert_with(|| stamp.iso());
        sqlx::query("INSERT INTO messages (conversation, body) VALUES ($1, $2)")
            .bind(seq)
            .bind(json(&message)?)
            .execute(&mut **transaction)
            .await?;
    }
    for event in turn.retrieval_events {
        sqlx::query("INSERT INTO retrieval_events (conversation, body) VALUES ($1, $2)")
            .bind(seq)
            .bind(json(&event)?)
            .execute(&mut **transaction)
            .await?;
    }
    Ok(())
}

impl Conversations for PostgresConversations {
    fn create(&self, conversation: NewConversation) -> BoxFuture<'_, Result<Conversation, StoreError>> {
        Box::pin(async move { self.insert(conversation).await.map_err(failed) })
    }

    fn append<'a>(&'a self, id: &'a str, turn: Turn) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            match self.extend(id, turn).await {
                Ok(true) => Ok(()),
                Ok(false) => Err(StoreError::NotFound),
                Err(error) => Err(failed(error)),
            }
        })
    }

    fn get<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<Conversation>, StoreError>> {
        Box::pin(async move { self.select(id).await.map_err(failed) })
    }

    fn list<'a>(
        &'a self,
        patient: Option<&'a Mrn>,
        page: Page,
    ) -> BoxFuture<'a, Result<(Vec<Conversation>, u64), StoreError>> {
        Box::pin(async move { self.select_page(patient, page).await.map_err(failed) })
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move { self.database.ping().await.map_err(failed) })
    }
}

fn failed(error: sqlx::Error) -> StoreError {
    store_error("conversations", &error)
}
