//! The headers of weight files: what is right, what is wrong, and what is hostile.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod corpus;
mod gguf;
mod hostile;
mod safetensors;
mod sample;

use std::io::{self, Read};

use model_cache::Problem;

type Check = fn(&[u8]) -> Option<Problem>;

fn safetensors_problem(file: &[u8]) -> Option<Problem> {
    model_cache::header::check_safetensors(file, file.len() as u64).unwrap()
}

fn gguf_problem(file: &[u8]) -> Option<Problem> {
    model_cache::header::check_gguf(file, file.len() as u64).unwrap()
}

#[track_caller]
fn assert_malformed(problem: Option<Problem>, word: &str) {
    match problem {
        Some(Problem::Malformed(what)) => assert!(what.contains(word), "`{what}` does not say {word}"),
        other => panic!("{other:?} does not say {word}"),
    }
}

/// Gives one byte at a time, as a slow disk may.
struct Drops<'a>(&'a [u8]);

impl Read for Drops<'_> {
    fn read(&mut self, place: &mut [u8]) -> io::Result<usize> {
        let length = place.len().min(1);
        self.0.read(&mut place[..length])
    }
}
