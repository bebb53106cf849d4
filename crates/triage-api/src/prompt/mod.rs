//! The prompt: a versioned template, a patient's record as compact text, earlier turns, and the
//! question last. The only place where record and question meet; knows no store, model or HTTP.
//!
//! The order is that of how often things change: the fixed text is the same for everyone, the
//! record for every question of one patient, the turns for the next question of a conversation. So
//! a model can keep what it computed for the longest common start.
//!
//! Only what an answer needs is in it: no record number, name, address, claim or full birth date.

mod history;
mod record_text;
mod record_view;
mod template;

pub use template::PromptTemplate;
