//! Owns hostile safetensors files: no panic, no more memory than the file is long, nothing taken that others refuse.
#![no_main]

use libfuzzer_sys::fuzz_target;
use safetensors::SafeTensors;

fuzz_target!(|file: &[u8]| {
    if header_fuzz::safetensors(file).is_none() {
        SafeTensors::read_metadata(file).expect("what is right here is right for the format's own library");
    }
});
