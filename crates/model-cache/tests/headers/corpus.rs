//! The files that fuzzing found to be different from each other: none of them may be a surprise again.

use std::fs;
use std::path::Path;

use crate::hostile::assert_sane;

#[test]
fn every_file_of_the_corpus_gets_an_answer() {
    for target in ["safetensors_header", "gguf_header"] {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
        let files: Vec<_> = fs::read_dir(corpus).unwrap().map(|file| file.unwrap().path()).collect();
        assert!(files.len() > 50, "the corpus of {target} was not found");
        for file in files {
            // When a promise is broken, this says by which file.
            println!("{}", file.display());
            assert_sane(&fs::read(&file).unwrap());
        }
    }
}
