//! Owns hostile GGUF files: no panic, and no more memory than the buffer through which they are read.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    header_fuzz::gguf(file);
});
