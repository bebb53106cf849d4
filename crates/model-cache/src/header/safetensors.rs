//! Owns the header of safetensors files. Must not know what their tensors mean.
//!
//! The format: 8 bytes with the header's length (little-endian), the header (JSON: for each tensor its dtype, its shape
//! and the range of its bytes behind the header), the bytes of the tensors.

use std::io::{self, Read, Seek, SeekFrom};

use super::stop::Stop;
use super::tensor_table::{Conflict, TensorTable};
use super::tokens::Tokens;
use crate::Problem;

/// The bytes that say how long the header is.
const PREFIX: u64 = 8;

/// The longest header that the format allows, in bytes.
const MAX_HEADER: u64 = 100_000_000;

/// What is wrong with the safetensors file of `length` bytes that `source` reads from its beginning; `None` when its
/// header is right. Reads the header, not the tensors.
///
/// Checked are the rules of the [format](https://github.com/huggingface/safetensors#format): the header is no longer
/// than 100 MB and than the file, begins with `{`, is JSON in UTF-8 of nothing but tensors and texts, and names no
/// tensor twice; every dtype is known; every range of bytes is as long as dtype and shape say; the ranges cover the rest
/// of the file without holes or overlaps, and the file ends with the last of them.
///
/// The header goes by as a stream, and what is kept of it is shorter than it is. So a check never has more memory live
/// than the file is long, but for 4 KiB of the sentence that says what is wrong; for that, `source` is asked again for
/// the name of a tensor.
///
/// # Errors
///
/// When `source` cannot be read, or ends before the header does although `length` says otherwise.
///
/// # Example
///
/// ```
/// use std::io::Cursor;
///
/// use model_cache::{Problem, header::check_safetensors};
///
/// let header = br#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
/// let mut file = (header.len() as u64).to_le_bytes().to_vec();
/// file.extend(header);
/// file.extend([0; 8]);
/// assert_eq!(check_safetensors(Cursor::new(&file), 70)?, None);
/// assert_eq!(check_safetensors(Cursor::new(&file), 69)?, Some(Problem::Length { expected: 70, actual: 69 }));
/// # Ok::<_, std::io::Error>(())
/// ```
pub fn check_safetensors(mut source: impl Read + Seek, length: u64) -> io::Result<Option<Problem>> {
    let expected = match expected_length(&mut source, length) {
        Ok(expected) => expected,
        Err(Stop::Problem(problem)) => return Ok(Some(problem)),
        Err(Stop::Io(error)) => return Err(error),
    };
    Ok((length != expected).then_some(Problem::Length { expected, actual: length }))
}

/// Goes through the header, and says how many bytes the file has.
fn expected_length(source: &mut (impl Read + Seek), length: u64) -> Result<u64, Stop> {
    if length < PREFIX {
        return Err(Stop::malformed(format!("{length} bytes are too few for a safetensors file")));
    }
    let mut prefix = [0; PREFIX as usize];
    source.read_exact(&mut prefix)?;
    let header_length = u64::from_le_bytes(prefix);
    if header_length > MAX_HEADER {
        return Err(Stop::malformed(format!("a header of {header_length} bytes is not possible")));
    }
    // The header itself is cut off, so nobody can say how long the whole would be: at least this long.
    let data_start = PREFIX + header_length;
    if data_start > length {
        return Err(Stop::Problem(Problem::Length { expected: data_start, actual: length }));
    }
    let mut tokens = Tokens::new(&mut *source, header_length);
    if tokens.peek()? != Some(b'{') {
        return Err(Stop::malformed("its header does not begin with {"));
    }
    let table = TensorTable::read(&mut tokens, header_length)?;
    match table.data_length() {
        Ok(data_length) => {
            data_start.checked_add(data_length).ok_or_else(|| Stop::malformed("its tensors end beyond any file"))
        }
        Err(Conflict { position, what }) => {
            source.seek(SeekFrom::Start(PREFIX + position))?;
            let name = Tokens::new(source, header_length - position).excerpt()?;
            Err(Stop::malformed(format!("tensor {name} {what}")))
        }
    }
}
