//! [`SqliteConversations`]: conversations in SQLite, one row for each message.

use futures_util::future::BoxFuture;
use serde_json::Value;
use sqlx::sqlite::SqliteRow;
use sqlx::types::Json;
use sqlx::{Row, Sqlite, Transaction};

use super::database::Database;
use super::failure::store_error;
use crate::conversations::identity::Stamp;
use crate::conversations::{Conversation, Conversations, NewConversation, StoredMessage, Turn};
use crate::error::StoreError;
use crate::mrn::Mrn;
use crate::records::Page;

/// The statement that reads whole conversations, with the end that chooses which.
macro_rules! select_conversations {
    ($which:literal) => {
        concat!(
            "SELECT c.id, c.conversation_id, c.patient_mrn, c.channel, c.started_at, c.ended_at, c.trace_id,
               (SELECT json_group_array(json(body) ORDER BY seq) FROM messages WHERE conversation = c.seq) AS messages,
               (SELECT json_group_array(json(body) ORDER BY seq) FROM retrieval_events WHERE conversation = c.seq)
                 AS retrieval_events
             FROM conversations c ",
            $which
        )
    };
}

/// Conversations in an SQLite file.
#[derive(Debug, Clone)]
pub struct SqliteConversations {
    database: Database,
}

impl SqliteConversations {
    pub(super) fn new(database: Database) -> Self {
        Self { database }
    }

    async fn insert(&self, new: NewConversation) -> sqlx::Result<Conversation> {
        let stamp = Stamp::now();
        let conversation_id = new.conversation_id.unwrap_or_else(|| stamp.conversation_id(&new.patient_mrn));
        let mut transaction = self.database.begin_write().await?;
        let seq: i64 = sqlx::query_scalar(
            "INSERT INTO conversations (id, conversation_id, patient_mrn, channel, started_at, ended_at, trace_id)
             VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6) RETURNING seq",
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
        let row = sqlx::query(select_conversations!("WHERE c.seq = ?1")).bind(seq).fetch_one(&mut *transaction).await?;
        let conversation = read_row(&row)?;
        transaction.commit().await?;
        Ok(conversation)
    }

    /// Whether there is such a conversation.
    async fn extend(&self, id: &str, turn: Turn) -> sqlx::Result<bool> {
        let mut transaction = self.database.begin_write().await?;
        // Stamped while holding the write lock: times then rise in the order of the messages.
        let stamp = Stamp::now();
        let seq: Option<i64> =
            sqlx::query_scalar("UPDATE conversations SET ended_at = ?2 WHERE conversation_id = ?1 RETURNING seq")
                .bind(id)
                .bind(stamp.iso())
                .fetch_optional(&mut *transaction)
                .await?;
        let Some(seq) = seq else { return Ok(false) };
        insert_turn(&mut transaction, seq, turn, stamp).await?;
        transaction.commit().await?;
        Ok(true)
    }

    async fn select(&self, id: &str) -> sqlx::Result<Option<Conversation>> {
        let row = sqlx::query(select_conversations!("WHERE c.conversation_id = ?1"))
            .bind(id)
            .fetch_optional(self.database.readers())
            .await?;
        row.as_ref().map(read_row).transpose()
    }

    async fn select_page(&self, patient: Option<&Mrn>, page: Page) -> sqlx::Result<(Vec<Conversation>, u64)> {
        let readers = self.database.readers();
        let (count, select) = match patient {
            Some(mrn) => (
                sqlx::query_scalar("SELECT count(*) FROM conversations WHERE patient_mrn = ?1").bind(mrn.as_str()),
                sqlx::query(select_conversations!("WHERE c.patient_mrn = ?3 ORDER BY c.seq DESC LIMIT ?1 OFFSET ?2")),
            ),
            None => (
                sqlx::query_scalar("SELECT count(*) FROM conversations"),
                sqlx::query(select_conversations!("ORDER BY c.seq DESC LIMIT ?1 OFFSET ?2")),
            ),
        };
        let total: i64 = count.fetch_one(readers).await?;
        let mut select = select.bind(page.limit).bind(page.skip);
        if let Some(mrn) = patient {
            select = select.bind(mrn.as_str());
        }
        let rows = select.fetch_all(readers).await?;
        let conversations = rows.iter().map(read_row).collect::<sqlx::Result<_>>()?;
        Ok((conversations, total.unsigned_abs()))
    }
}

/// Stores a turn at the end of conversation `seq`; messages without a time get that of `stamp`.
async fn insert_turn(
    transaction: &mut Transaction<'_, Sqlite>,
    seq: i64,
    turn: Turn,
    stamp: Stamp,
) -> sqlx::Result<()> {
    for mut message in turn.messages {
        message.timestamp.get_or_insert_with(|| stamp.iso());
        sqlx::query("INSERT INTO messages (conversation, body) VALUES (?1, ?2)")
            .bind(seq)
            .bind(Json(message))
            .execute(&mut **transaction)
            .await?;
    }
    for event in turn.retrieval_events {
        sqlx::query("INSERT INTO retrieval_events (conversation, body) VALUES (?1, ?2)")
            .bind(seq)
            .bind(Json(event))
            .execute(&mut **transaction)
            .await?;
    }
    Ok(())
}

fn read_row(row: &SqliteRow) -> sqlx::Result<Conversation> {
    let Json(messages): Json<Vec<StoredMessage>> = row.try_get("messages")?;
    let Json(retrieval_events): Json<Vec<Value>> = row.try_get("retrieval_events")?;
    Ok(Conversation {
        id: row.try_get("id")?,
        conversation_id: row.try_get("conversation_id")?,
        patient_mrn: row.try_get("patient_mrn")?,
        channel: row.try_get("channel")?,
        started_at: row.try_get("started_at")?,
        ended_at: row.try_get("ended_at")?,
        messages,
        retrieval_events: Some(retrieval_events).filter(|events| !events.is_empty()),
        trace_id: row.try_get("trace_id")?,
    })
}

impl Conversations for SqliteConversations {
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
