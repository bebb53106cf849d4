//! Owns what the checks promise, whatever bytes they are given: fuzzing and the tests ask for the same.

use std::io::{Cursor, Read};

use crate::header::{check_gguf, check_safetensors};
use crate::peak::peak_of;
use crate::{Problem, by_serde};

/// What a sentence about a header may take, in bytes.
const SENTENCE: usize = 4 << 10;

/// The buffer through which a GGUF file is read, in bytes.
const BUFFER: usize = 64 << 10;

/// What [`check_safetensors`] says of `file`: it takes no more memory than the file is long, and takes what the
/// format's rules take.
#[track_caller]
pub(crate) fn safetensors(file: &[u8]) -> Option<Problem> {
    let (problem, peak) = peak_of(|| check_safetensors(Cursor::new(file), file.len() as u64));
    let problem = problem.expect("a slice can be read");
    assert!(peak <= file.len() + SENTENCE, "a file of {} bytes takes {peak}", file.len());
    assert_eq!(problem.is_none(), by_serde::accepts(file), "{problem:?}");
    assert_short(problem.as_ref());
    if let Some(Problem::Length { expected, actual }) = problem {
        assert!(expected != actual && actual == file.len() as u64);
    }
    problem
}

/// What [`check_gguf`] says of `file`: it takes no more memory than its buffer, and whatever stands behind the
/// tensors is nobody's business.
#[track_caller]
pub(crate) fn gguf(file: &[u8]) -> Option<Problem> {
    let length = file.len() as u64;
    let (problem, peak) = peak_of(|| check_gguf(file, length));
    let problem = problem.expect("a slice can be read");
    assert!(peak <= file.len().min(BUFFER) + SENTENCE, "a file of {length} bytes takes {peak}");
    assert_short(problem.as_ref());
    match &problem {
        Some(Problem::Length { expected, actual }) => assert!(*expected > length && *actual == length),
        Some(_) => {}
        None => {
            let longer = check_gguf(file.chain([0xff].as_slice()), length + 1);
            assert_eq!(longer.expect("a slice can be read"), None);
        }
    }
    problem
}

/// A problem is one of the two that a header can have, and its sentence fits into a log.
#[track_caller]
fn assert_short(problem: Option<&Problem>) {
    match problem {
        None | Some(Problem::Length { .. }) => {}
        Some(Problem::Malformed(what)) => {
            assert!(!what.is_empty() && what.len() < 2000 && !what.contains(char::is_control), "{what}");
        }
        Some(other) => panic!("{other:?} is not about a header"),
    }
}
