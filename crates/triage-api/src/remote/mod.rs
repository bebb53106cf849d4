//! Both stores in CarePath's own DB API, over HTTP. The only module that names reqwest, and it must
//! not log: the addresses it asks for contain record numbers.

mod chat_log;
mod conversations;
mod db_api;
mod records;
mod transport;

pub use db_api::{DbApi, DbApiConfig};
