//! Owns the header of GGUF files. Must not know what their values mean, but for the alignment of the tensors.
//!
//! The format: magic and version, the numbers of tensors and of values, the values by key, of each tensor its name,
//! dimensions, type and place; then, aligned, the bytes of the tensors.

use std::io::{self, Read};

use super::excerpt::Excerpt;
use super::ggml_type::Block;
use super::source::Source;
use super::stop::Stop;
use crate::Problem;

/// The alignment where a file does not say another, in bytes.
const DEFAULT_ALIGNMENT: u64 = 32;

const MAX_KEY: u64 = 65_535;
const MAX_TENSOR_NAME: u64 = 64;
const MAX_DIMENSIONS: u32 = 4;

/// How deep arrays may lie in each other. The format knows no end, and no reader goes deeper than one.
const MAX_DEPTH: u32 = 8;

// The shortest that they can be, in bytes: a key of one letter with a value of one byte, and a tensor without name
// and dimensions.
const MIN_VALUE: u64 = 8 + 1 + 4 + 1;
const MIN_TENSOR: u64 = 8 + 4 + 4 + 8;

/// What is wrong with the GGUF file of `length` bytes that `source` reads from its beginning; `None` when its header is
/// right. Reads the header, not the tensors, and keeps nothing of it.
///
/// Checked are the rules of the [format](https://github.com/ggml-org/ggml/blob/master/docs/gguf.md), version 2 or 3,
/// little-endian: keys are ASCII of at most 65,535 bytes; types of values are known; a bool is 0 or 1;
/// `general.alignment` is there at most once, a power of two, and a multiple of 8; tensors have names of at most 64
/// bytes and at most 4 dimensions, whose product can be counted and whose rows are whole blocks; tensors begin
/// aligned, and end within the file. Two bounds are our own: a header has at most 256 MiB, and arrays lie at most
/// 8 deep in each other.
///
/// Not checked is what would take memory, or the knowledge of a loader: whether a key or a tensor is there twice,
/// whether tensors overlap, whether texts are UTF-8. A tensor of a type that the format's description does not name
/// only has to begin within the file.
///
/// # Errors
///
/// When `source` cannot be read, or ends before the header does although `length` says otherwise.
///
/// # Example
///
/// ```
/// use model_cache::{Problem, header::check_gguf};
///
/// let file = [b"GGUF".as_slice(), &3_u32.to_le_bytes(), &[0; 16]].concat();
/// assert_eq!(check_gguf(file.as_slice(), 24)?, None);
/// assert_eq!(check_gguf(file.as_slice(), 23)?, Some(Problem::Length { expected: 24, actual: 23 }));
/// # Ok::<_, std::io::Error>(())
/// ```
pub fn check_gguf(source: impl Read, length: u64) -> io::Result<Option<Problem>> {
    let expected = match walk(&mut Source::new(source, length)) {
        Ok(expected) => expected,
        Err(Stop::Problem(problem)) => return Ok(Some(problem)),
        Err(Stop::Io(error)) => return Err(error),
    };
    Ok((length < expected).then_some(Problem::Length { expected, actual: length }))
}

/// Goes through the header, and says how many bytes the file has at least.
fn walk(source: &mut Source<impl Read>) -> Result<u64, Stop> {
    if source.array("magic")? != *b"GGUF" {
        return Err(Stop::malformed("it does not begin as a GGUF file does"));
    }
    let version = source.u32("version")?;
    if !matches!(version, 2 | 3) {
        return Err(Stop::malformed(format!("GGUF version {version} is not known")));
    }
    let tensors = source.u64("number of tensors")?;
    let values = source.u64("number of values")?;
    source.expect("number of tensors", tensors, MIN_TENSOR)?;
    source.expect("number of values", values, MIN_VALUE)?;
    let mut alignment = None;
    for _ in 0..values {
        let is_alignment = key(source)?;
        let kind = source.u32("type")?;
        if !is_alignment {
            value(source, kind, 0)?;
        } else if alignment.replace(aligned_to(source, kind)?).is_some() {
            return Err(Stop::malformed("general.alignment is there twice"));
        }
    }
    let alignment = alignment.unwrap_or(DEFAULT_ALIGNMENT);
    let mut data_length = 0;
    for _ in 0..tensors {
        data_length = tensor_end(source, alignment)?.max(data_length);
    }
    // Without tensors there is nothing to align.
    if tensors == 0 {
        return Ok(source.position());
    }
    let data_start = source.position().next_multiple_of(alignment);
    data_start.checked_add(data_length).ok_or_else(|| Stop::malformed("its tensors end beyond any file"))
}

/// Goes over a key, and says whether it is that of the alignment.
fn key(source: &mut Source<impl Read>) -> Result<bool, Stop> {
    const ALIGNMENT: &[u8; 17] = b"general.alignment";
    let length = source.u64("key")?;
    if length == 0 || length > MAX_KEY {
        return Err(Stop::malformed(format!("a key of {length} bytes is not possible")));
    }
    if length == ALIGNMENT.len() as u64 {
        let key: [u8; ALIGNMENT.len()] = source.array("key")?;
        return if key.is_ascii() { Ok(key == *ALIGNMENT) } else { Err(Stop::malformed("a key is not ASCII")) };
    }
    if source.all("key", length, 1, u8::is_ascii)? { Ok(false) } else { Err(Stop::malformed("a key is not ASCII")) }
}

/// The value of `general.alignment`.
fn aligned_to(source: &mut Source<impl Read>, kind: u32) -> Result<u64, Stop> {
    if kind != 4 {
        return Err(Stop::malformed("general.alignment is not of type UINT32"));
    }
    let alignment = source.u32("alignment")?;
    if !alignment.is_power_of_two() || alignment < 8 {
        return Err(Stop::malformed(format!("general.alignment is {alignment}")));
    }
    Ok(alignment.into())
}

/// Goes over a value that is inside `depth` arrays.
fn value(source: &mut Source<impl Read>, kind: u32, depth: u32) -> Result<(), Stop> {
    match kind {
        8 => text(source),
        9 if depth < MAX_DEPTH => {
            let kind = source.u32("type")?;
            let count = source.u64("array")?;
            elements(source, kind, count, depth + 1)
        }
        9 => Err(Stop::malformed(format!("arrays lie more than {MAX_DEPTH} deep in each other"))),
        _ => elements(source, kind, 1, depth),
    }
}

/// Goes over `count` values that stand behind each other inside `depth` arrays.
fn elements(source: &mut Source<impl Read>, kind: u32, count: u64, depth: u32) -> Result<(), Stop> {
    match kind {
        // UINT8, INT8
        0 | 1 => source.skip("array", count, 1),
        // UINT16, INT16
        2 | 3 => source.skip("array", count, 2),
        // UINT32, INT32, FLOAT32
        4..=6 => source.skip("array", count, 4),
        // BOOL
        7 => match source.all("array", count, 1, |byte| *byte <= 1)? {
            true => Ok(()),
            false => Err(Stop::malformed("a bool is neither 0 nor 1")),
        },
        // STRING, as its length and its bytes
        8 => {
            source.expect("array", count, 8)?;
            (0..count).try_for_each(|_| text(source))
        }
        // ARRAY, as the type and the number of its elements, and the elements
        9 => {
            source.expect("array", count, 4 + 8)?;
            (0..count).try_for_each(|_| value(source, 9, depth))
        }
        // UINT64, INT64, FLOAT64
        10..=12 => source.skip("array", count, 8),
        _ => Err(Stop::malformed(format!("a value has the type {kind}, which is not known"))),
    }
}

fn text(source: &mut Source<impl Read>) -> Result<(), Stop> {
    let length = source.u64("text")?;
    source.skip("text", length, 1)
}

/// Goes over what the header says of a tensor, and says where it ends behind the beginning of the data.
fn tensor_end(source: &mut Source<impl Read>, alignment: u64) -> Result<u64, Stop> {
    let mut name = [0; MAX_TENSOR_NAME as usize];
    let length = source.u64("name")?;
    if length > MAX_TENSOR_NAME {
        return Err(Stop::malformed(format!("a name of {length} bytes is not possible for a tensor")));
    }
    let name = source.read("name", &mut name[..length as usize])?;
    let malformed =
        |what: &str| Stop::malformed(format!("tensor {} {what}", Excerpt::of(&String::from_utf8_lossy(name))));
    let dimensions = source.u32("dimensions")?;
    if dimensions > MAX_DIMENSIONS {
        return Err(malformed(&format!("has {dimensions} dimensions")));
    }
    let (mut row, mut elements) = (1, Some(1_u64));
    for dimension in 0..dimensions {
        let size = source.u64("dimension")?;
        elements = elements.and_then(|elements| elements.checked_mul(size));
        if dimension == 0 {
            row = size;
        }
    }
    let block = Block::of(source.u32("type")?);
    let offset = source.u64("offset")?;
    let elements = elements.ok_or_else(|| malformed("has more elements than can be counted"))?;
    if !offset.is_multiple_of(alignment) {
        return Err(malformed("does not begin aligned"));
    }
    let Some(block) = block else { return Ok(offset) };
    if !row.is_multiple_of(block.elements) {
        return Err(malformed("has rows that are not whole blocks"));
    }
    let bytes = (elements / block.elements).checked_mul(block.bytes);
    bytes.and_then(|bytes| offset.checked_add(bytes)).ok_or_else(|| malformed("ends beyond any file"))
}
