//! Owns hostile safetensors files: no panic, no more memory than promised, nothing taken that others refuse.
#![no_main]

use header_fuzz::Limited;
use libfuzzer_sys::fuzz_target;
use model_cache::header::check_safetensors;
use safetensors::SafeTensors;

#[global_allocator]
static MEMORY: Limited = Limited::new();

/// What a sentence about a header may take, in bytes.
const SENTENCE: usize = 4096;

fuzz_target!(|file: &[u8]| {
    // A header of up to 1 MiB may take 8 times its length, and a longer one is refused unless that is within its file.
    let allowed = if file.len() <= 1 << 20 { 8 * file.len() } else { file.len().max(8 << 20) };
    let check = || check_safetensors(file, file.len() as u64);
    let problem = MEMORY.run(allowed + SENTENCE, check).expect("a slice can be read");
    if problem.is_none() {
        SafeTensors::read_metadata(file).expect("what is right here is right for the format's own library");
    }
});
