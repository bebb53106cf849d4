//! The examples of the workspace: see the other files of this folder.

/// The programs of the page about embedding, which are compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../docs/embedding.md")]
struct Embedding;
