//! Owns the bytes of a GGUF header (ggml's `docs/gguf.md`, version 3). Must not know what the entries mean.

use crate::checkpoint::StoredType;

/// Data of tensors begin at multiples of this.
pub(super) const ALIGNMENT: u64 = 32;
const VERSION: u32 = 3;

/// A metadata value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    U32(u32),
    I32(i32),
    F32(f32),
    Bool(bool),
    Text(String),
    Texts(Vec<String>),
    I32s(Vec<i32>),
}

/// A tensor as the header describes it.
#[derive(Debug, Clone)]
pub(super) struct TensorEntry {
    pub(super) name: String,
    /// Row-major, the contiguous dimension last.
    pub(super) shape: Vec<usize>,
    pub(super) dtype: StoredType,
    /// Length of the data in bytes.
    pub(super) len: u64,
}

/// The header, filled up to the place where the first tensor's data begin.
pub(super) fn header(metadata: &[(String, Value)], tensors: &[TensorEntry]) -> Vec<u8> {
    let mut out = b"GGUF".to_vec();
    out.extend(VERSION.to_le_bytes());
    length(&mut out, tensors.len());
    length(&mut out, metadata.len());
    for (key, value) in metadata {
        text(&mut out, key);
        write_value(&mut out, value);
    }
    let mut offset = 0_u64;
    for tensor in tensors {
        text(&mut out, &tensor.name);
        out.extend((tensor.shape.len() as u32).to_le_bytes());
        // ggml writes the contiguous dimension first.
        tensor.shape.iter().rev().for_each(|&dimension| length(&mut out, dimension));
        out.extend(tensor.dtype.to_ggml().to_le_bytes());
        out.extend(offset.to_le_bytes());
        offset += tensor.len.next_multiple_of(ALIGNMENT);
    }
    out.resize(out.len().next_multiple_of(ALIGNMENT as usize), 0);
    out
}

fn length(out: &mut Vec<u8>, value: usize) {
    out.extend((value as u64).to_le_bytes());
}

fn text(out: &mut Vec<u8>, value: &str) {
    length(out, value.len());
    out.extend(value.as_bytes());
}

/// The number of the value's type in `enum gguf_metadata_value_type`, and the value.
fn write_value(out: &mut Vec<u8>, value: &Value) {
    const I32: u32 = 5;
    const TEXT: u32 = 8;
    const ARRAY: u32 = 9;
    let mut kind = |number: u32| out.extend(number.to_le_bytes());
    match value {
        Value::U32(value) => {
            kind(4);
            out.extend(value.to_le_bytes());
        }
        Value::I32(value) => {
            kind(I32);
            out.extend(value.to_le_bytes());
        }
        Value::F32(value) => {
            kind(6);
            out.extend(value.to_le_bytes());
        }
        Value::Bool(value) => {
            kind(7);
            out.push(u8::from(*value));
        }
        Value::Text(value) => {
            kind(TEXT);
            text(out, value);
        }
        Value::Texts(values) => {
            kind(ARRAY);
            kind(TEXT);
            length(out, values.len());
            values.iter().for_each(|value| text(out, value));
        }
        Value::I32s(values) => {
            kind(ARRAY);
            kind(I32);
            length(out, values.len());
            values.iter().for_each(|value| out.extend(value.to_le_bytes()));
        }
    }
}
