//! The headers of weight files: what is right, what is wrong, and what is hostile.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod by_serde;
mod corpus;
mod gguf;
mod hostile;
mod memory;
mod peak;
mod promise;
mod safetensors;
mod sample;

use std::io::{self, Read, Seek, SeekFrom};

// What fuzzing shares with the tests names them here.
use model_cache::{Problem, header};
use promise::{gguf as gguf_problem, safetensors as safetensors_problem};

type Check = fn(&[u8]) -> Option<Problem>;

#[track_caller]
fn assert_malformed(problem: Option<Problem>, word: &str) {
    match problem {
        Some(Problem::Malformed(what)) => assert!(what.contains(word), "`{what}` does not say {word}"),
        other => panic!("{other:?} does not say {word}"),
    }
}

/// Gives one byte at a time, as a slow disk may.
struct Drops<'a>(io::Cursor<&'a [u8]>);

impl Read for Drops<'_> {
    fn read(&mut self, place: &mut [u8]) -> io::Result<usize> {
        let length = place.len().min(1);
        self.0.read(&mut place[..length])
    }
}

impl Seek for Drops<'_> {
    fn seek(&mut self, place: SeekFrom) -> io::Result<u64> {
        self.0.seek(place)
    }
}
