//! All stores in one SQLite file. Owns the schema, the connections and the wording of failures. It
//! must not know HTTP, prompts or models.

mod conversations;
mod database;
mod decisions;
mod failure;
mod records;
mod seeding;
mod stores;

pub use conversations::SqliteConversations;
pub use decisions::SqliteDecisions;
pub use records::SqliteRecords;
pub use stores::SqliteStores;
