//! Owns what a safetensors header says of one tensor. Must not know about other tensors.

use std::io::Read;

use super::dtype;
use super::excerpt::Excerpt;
use super::stop::Stop;
use super::tokens::Tokens;

/// Goes over what the header says of the tensor `name`, and says where it begins and ends: `begin <= end`, and as far
/// from each other as dtype and shape say.
pub(super) fn range(tokens: &mut Tokens<impl Read>, name: &Excerpt) -> Result<(u64, u64), Stop> {
    let (mut bits, mut elements, mut offsets) = (None, None, None);
    tokens.object(|tokens, field| {
        let again = match field.whole() {
            Some("dtype") => bits.replace(dtype_bits(tokens)?).is_some(),
            Some("shape") => elements.replace(shape_elements(tokens)?).is_some(),
            Some("data_offsets") => offsets.replace(data_offsets(tokens)?).is_some(),
            _ => return Err(tokens.malformed(format_args!("a tensor has the unknown field `{field}`"))),
        };
        if again { Err(tokens.malformed(format_args!("the field `{field}` is there twice"))) } else { Ok(()) }
    })?;
    let lacks = |field: &str| tokens.malformed(format_args!("tensor {name} lacks {field}"));
    let bits = bits.ok_or_else(|| lacks("dtype"))?;
    let elements = elements.ok_or_else(|| lacks("shape"))?;
    let (begin, end): (u64, u64) = offsets.ok_or_else(|| lacks("data_offsets"))?;
    // Types of less than a byte may make a length that is no whole number of bytes.
    let bits: Option<u64> = elements.and_then(|elements: u64| elements.checked_mul(bits));
    let bytes = bits.filter(|bits| bits.is_multiple_of(8)).map(|bits| bits / 8);
    if bytes.is_none() || bytes != end.checked_sub(begin) {
        return Err(tokens.malformed(format_args!("tensor {name} is not as long as dtype and shape say")));
    }
    Ok((begin, end))
}

fn dtype_bits(tokens: &mut Tokens<impl Read>) -> Result<u64, Stop> {
    let name = tokens.excerpt()?;
    let bits = name.whole().and_then(dtype::bits);
    bits.ok_or_else(|| tokens.malformed(format_args!("dtype {name} is not known")))
}

/// How many elements the shape makes; `None` when that is more than can be counted.
fn shape_elements(tokens: &mut Tokens<impl Read>) -> Result<Option<u64>, Stop> {
    let mut elements = Some(1_u64);
    tokens.list([b'[', b']'], |tokens| {
        let dimension = tokens.number()?;
        elements = elements.and_then(|elements| elements.checked_mul(dimension));
        Ok(())
    })?;
    Ok(elements)
}

fn data_offsets(tokens: &mut Tokens<impl Read>) -> Result<(u64, u64), Stop> {
    tokens.expect(b'[')?;
    let begin = tokens.number()?;
    tokens.expect(b',')?;
    let end = tokens.number()?;
    tokens.expect(b']')?;
    Ok((begin, end))
}
