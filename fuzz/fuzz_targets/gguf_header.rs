//! Owns hostile GGUF files: no panic, and no more memory than the buffer through which they are read.
#![no_main]

use std::io::Read;

use header_fuzz::Limited;
use libfuzzer_sys::fuzz_target;
use model_cache::Problem;
use model_cache::header::check_gguf;

#[global_allocator]
static MEMORY: Limited = Limited::new();

/// What a sentence about a header may take, in bytes.
const SENTENCE: usize = 4096;

fuzz_target!(|file: &[u8]| {
    let length = file.len() as u64;
    let allowed = file.len().min(64 << 10) + SENTENCE;
    let problem = MEMORY.run(allowed, || check_gguf(file, length)).expect("a slice can be read");
    match problem {
        Some(Problem::Length { expected, actual }) => assert!(expected > actual && actual == length),
        Some(_) => {}
        // What stands behind the tensors is nobody's business.
        None => {
            let longer = check_gguf(file.chain([0xff].as_slice()), length + 1);
            assert_eq!(longer.expect("a slice can be read"), None);
        }
    }
});
