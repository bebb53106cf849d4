//! Owns the header of safetensors files. Must not know what their tensors mean.
//!
//! The format: 8 bytes with the header's length (little-endian), the header (JSON: for each tensor its dtype, its shape
//! and the range of its bytes behind the header), the bytes of the tensors.

use std::io::{self, Read};

use super::excerpt::excerpt;
use super::tensor_table::{Tensor, TensorTable};
use crate::Problem;

/// The longest header that the format allows, in bytes.
const MAX_HEADER: u64 = 100_000_000;

/// Parsing takes less than this many times the header's length, whatever stands in it.
const MEMORY_FACTOR: u64 = 8;

/// A header up to this length is parsed in a file of any length, in bytes. One of 10,000 tensors is as long.
const SMALL_HEADER: u64 = 1 << 20;

/// What is wrong with the safetensors file of `length` bytes that `source` reads from its beginning; `None` when its
/// header is right. Reads the header, not the tensors.
///
/// Checked are the rules of the [format](https://github.com/huggingface/safetensors#format): the header is no longer
/// than 100 MB and than the file, begins with `{`, is JSON in UTF-8 of nothing but tensors and texts, and names no
/// tensor twice; every dtype is known;
/// every range of bytes is as long as dtype and shape say; the ranges cover the rest of the file without holes or
/// overlaps, and the file ends with the last of them. One rule is our own: a header of more than 1 MiB is at most an
/// eighth of its file, as any model's is by far. So no header costs more memory than its file is long, or 8 MiB.
///
/// # Errors
///
/// When `source` cannot be read, or ends before the header does although `length` says otherwise.
///
/// # Example
///
/// ```
/// use model_cache::{Problem, header::check_safetensors};
///
/// let header = br#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
/// let mut file = (header.len() as u64).to_le_bytes().to_vec();
/// file.extend(header);
/// file.extend([0; 8]);
/// assert_eq!(check_safetensors(file.as_slice(), 70)?, None);
/// assert_eq!(check_safetensors(file.as_slice(), 69)?, Some(Problem::Length { expected: 70, actual: 69 }));
/// # Ok::<_, std::io::Error>(())
/// ```
pub fn check_safetensors(mut source: impl Read, length: u64) -> io::Result<Option<Problem>> {
    let malformed = |what: String| Ok(Some(Problem::Malformed(what)));
    let mut prefix = [0; 8];
    if length < 8 {
        return malformed(format!("{length} bytes are too few for a safetensors file"));
    }
    source.read_exact(&mut prefix)?;
    let header_length = u64::from_le_bytes(prefix);
    if header_length > MAX_HEADER {
        return malformed(format!("a header of {header_length} bytes is not possible"));
    }
    // The header itself is cut off, so nobody can say how long the whole would be: at least this long.
    let data_start = 8 + header_length;
    if data_start > length {
        return Ok(Some(Problem::Length { expected: data_start, actual: length }));
    }
    if header_length > SMALL_HEADER && header_length > length / MEMORY_FACTOR {
        return malformed(format!("a header of {header_length} bytes is too long for a file of {length}"));
    }
    let mut header = vec![0; header_length as usize];
    source.read_exact(&mut header)?;
    let expected = match data_length(&header) {
        Ok(data_length) => data_start.checked_add(data_length),
        Err(what) => return malformed(what),
    };
    Ok(match expected {
        Some(expected) if expected == length => None,
        Some(expected) => Some(Problem::Length { expected, actual: length }),
        None => Some(Problem::Malformed("its tensors end beyond any file".to_owned())),
    })
}

/// How many bytes stand behind `header`.
fn data_length(header: &[u8]) -> Result<u64, String> {
    if header.first() != Some(&b'{') {
        return Err("its header does not begin with {".to_owned());
    }
    // Texts that are skipped would not be checked by the parser.
    let text = str::from_utf8(header).map_err(|error| format!("its header is not UTF-8: {error}"))?;
    let TensorTable(mut tensors) =
        serde_json::from_str(text).map_err(|error| format!("in its header, {}", excerpt(&error.to_string())))?;
    tensors.sort_unstable_by_key(|tensor| (tensor.begin, tensor.end));
    let mut covered = 0;
    for Tensor { name, begin, end } in &tensors {
        if *begin != covered {
            let what = if *begin < covered { "overlaps another" } else { "lies behind a hole" };
            return Err(format!("tensor {} {what}", excerpt(name)));
        }
        covered = *end;
    }
    tensors.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    match tensors.array_windows().find(|[a, b]| a.name == b.name) {
        Some([twice, _]) => Err(format!("tensor {} is there twice", excerpt(&twice.name))),
        None => Ok(covered),
    }
}
