//! Owns whether the header of a weight file holds what its format demands. Must not know which tensors make a model.
//!
//! Weights are mapped into memory and read by the places that a header names, so a header is checked before anything
//! maps its file. Both checks take bytes from anywhere and how many there are; they believe nothing that they did not
//! compare with that number.
//!
//! | | [`check_safetensors`] | [`check_gguf`] |
//! |---|---|---|
//! | format | [safetensors' README](https://github.com/huggingface/safetensors#format) | [ggml's `docs/gguf.md`](https://github.com/ggml-org/ggml/blob/master/docs/gguf.md) |
//! | length | exactly what the header says | at least what the tensors need |
//! | names | none twice | not compared |
//! | memory | at most the file's length, and 4 KiB | the same, and at most 64 KiB, and 4 KiB |

mod dtype;
mod entry;
mod excerpt;
mod ggml_type;
mod gguf;
mod safetensors;
mod source;
mod stop;
mod tensor_table;
mod text;
mod tokens;

pub use gguf::check_gguf;
pub use safetensors::check_safetensors;
