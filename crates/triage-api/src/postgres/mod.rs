//! All stores in one PostgreSQL database, which several servers share. Owns the schema, the
//! connections and the wording of failures. It must not know HTTP, prompts or models.

mod conversations;
mod database;
mod decisions;
mod failure;
mod records;
mod seeding;
mod stores;

pub use conversations::PostgresConversations;
pub use decisions::PostgresDecisions;
pub use records::PostgresRecords;
pub use stores::PostgresStores;
