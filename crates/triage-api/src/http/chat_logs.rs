//! `/chat-logs`: conversations as CarePath's DB API keeps them.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::body::JsonBody;
use super::error::ApiError;
use super::only;
use super::page::PageQuery;
use crate::conversations::{Conversation, Conversations, NewConversation, StoredMessage, Turn};
use crate::error::StoreError;
use crate::mrn::{InvalidMrn, Mrn};
use crate::service::TriageService;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(
            web::resource("/chat-logs")
                .route(web::get().to(list))
                .route(web::post().to(create))
                .default_service(only("GET, POST")),
        )
        .service(
            web::resource("/chat-logs/{conversation_id}")
                .route(web::get().to(conversation))
                .default_service(only("GET")),
        );
}

/// Whose conversations are listed.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct OwnerQuery {
    /// One patient's only.
    patient_mrn: Option<String>,
}

/// A conversation to be stored.
#[derive(Deserialize, ToSchema)]
pub(super) struct NewChatLog {
    /// Whose it is.
    patient_mrn: String,
    /// Where it came from.
    #[serde(default = "api")]
    channel: String,
    /// At least one: `{role, content, timestamp?, model_name?, latency_ms?}`.
    #[schema(value_type = Vec<Value>)]
    messages: Vec<StoredMessage>,
    /// What was looked up for it.
    retrieval_events: Option<Vec<Value>>,
    /// The request that it came with.
    trace_id: Option<String>,
    /// A new one when absent; one that is there already is continued.
    conversation_id: Option<String>,
}

fn api() -> String {
    "api".to_owned()
}

/// A page of conversations, newest first.
#[utoipa::path(
    get,
    path = "/chat-logs",
    tag = "conversations",
    params(OwnerQuery, PageQuery),
    responses(
        (status = 200, description = "`{items, total, skip, limit}`", body = Value),
        (status = 422, description = "`skip` or `limit` is out of range"),
        (status = 502, description = "The records service failed"),
        (status = 504, description = "The records service took too long"),
        (status = 503, description = "The store is unavailable"),
    ),
)]
pub(super) async fn list(
    service: web::Data<TriageService>,
    owner: web::Query<OwnerQuery>,
    query: web::Query<PageQuery>,
) -> Result<HttpResponse, ApiError> {
    let page = query.page()?;
    let owner = owner.patient_mrn.as_deref().filter(|mrn| !mrn.is_empty());
    let (items, total) = match owner.map(Mrn::parse) {
        // Nobody has such a record number, so nobody's conversations are listed.
        Some(Err(_)) => (Vec::new(), 0),
        Some(Ok(mrn)) => service.stores().conversations.list(Some(&mrn), page).await.map_err(bare)?,
        None => service.stores().conversations.list(None, page).await.map_err(bare)?,
    };
    Ok(HttpResponse::Ok().json(json!({
        "items": items, "total": total, "skip": page.skip, "limit": page.limit,
    })))
}

/// Store a conversation.
#[utoipa::path(
    post,
    path = "/chat-logs",
    tag = "conversations",
    request_body = NewChatLog,
    responses(
        (status = 201, description = "The conversation as stored", body = Value),
        (status = 400, description = "No messages"),
        (status = 408, description = "The body did not arrive in time"),
        (status = 413, description = "The body is too large"),
        (status = 415, description = "The body is not JSON"),
        (status = 409, description = "The conversation is another patient's"),
        (status = 422, description = "Invalid body"),
        (status = 502, description = "The records service failed"),
        (status = 504, description = "The records service took too long"),
        (status = 503, description = "The store is unavailable"),
    ),
)]
pub(super) async fn create(
    service: web::Data<TriageService>,
    body: Result<JsonBody, ApiError>,
) -> Result<HttpResponse, ApiError> {
    let body = Value::Object(body.map_err(ApiError::bare)?.0);
    let log: NewChatLog = serde_json::from_value(body)
        .map_err(|_| invalid("needs patient_mrn and messages, a list of {role, content}"))?;
    if log.messages.is_empty() {
        let message = "Messages array cannot be empty";
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "no_messages", message).bare());
    }
    let conversation = log.conversation().map_err(|error| invalid(&error.to_string()))?;
    let stored = store(service.stores().conversations.as_ref(), conversation).await.map_err(bare)?;
    Ok(HttpResponse::Created().json(stored))
}

/// Stores a conversation; one whose id is there already continues it, as CarePath's services do
/// that post each turn by itself. Another patient's conversation is never continued.
async fn store(conversations: &dyn Conversations, new: NewConversation) -> Result<Conversation, StoreError> {
    let Some(id) = new.conversation_id.clone() else { return conversations.create(new).await };
    let (owner, turn) = (new.patient_mrn.clone(), new.turn.clone());
    match conversations.create(new).await {
        Err(StoreError::Conflict) => {}
        stored => return stored,
    }
    let existing = conversations.get(&id).await?.ok_or(StoreError::NotFound)?;
    if existing.patient_mrn != owner.as_str() {
        return Err(StoreError::Conflict);
    }
    conversations.append(&id, turn).await?;
    conversations.get(&id).await?.ok_or(StoreError::NotFound)
}

impl NewChatLog {
    fn conversation(self) -> Result<NewConversation, InvalidMrn> {
        Ok(NewConversation {
            patient_mrn: Mrn::parse(&self.patient_mrn)?,
            channel: self.channel,
            conversation_id: self.conversation_id.filter(|id| !id.is_empty()),
            trace_id: self.trace_id,
            turn: Turn { messages: self.messages, retrieval_events: self.retrieval_events.unwrap_or_default() },
        })
    }
}

/// One conversation.
#[utoipa::path(
    get,
    path = "/chat-logs/{conversation_id}",
    tag = "conversations",
    params(("conversation_id" = String, Path, description = "The conversation's id")),
    responses(
        (status = 200, description = "The conversation", body = Value),
        (status = 404, description = "Unknown conversation"),
        (status = 502, description = "The records service failed"),
        (status = 504, description = "The records service took too long"),
        (status = 503, description = "The store is unavailable"),
    ),
)]
pub(super) async fn conversation(
    service: web::Data<TriageService>,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let stored = service.stores().conversations.get(&id).await.map_err(bare)?;
    let unknown = || {
        let message = format!("Chat log with conversation ID {id} not found");
        ApiError::new(StatusCode::NOT_FOUND, "unknown_conversation", message).bare()
    };
    Ok(HttpResponse::Ok().json(stored.ok_or_else(unknown)?))
}

fn invalid(message: &str) -> ApiError {
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", message).bare()
}

fn bare(error: StoreError) -> ApiError {
    ApiError::from(error).bare()
}
