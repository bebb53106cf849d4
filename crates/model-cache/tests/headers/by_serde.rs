//! Owns a second opinion on safetensors headers: the format's rules over what `serde_json` reads, whatever memory that
//! takes. Must not share code with the check.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

/// An object, with names that stand there twice.
struct Pairs<T>(Vec<(String, T)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Pairs<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PairsVisitor(PhantomData))
    }
}

struct PairsVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for PairsVisitor<T> {
    type Value = Pairs<T>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<T>, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(Pairs(pairs))
    }
}

/// Whether `file` is a safetensors file.
pub(crate) fn accepts(file: &[u8]) -> bool {
    data_length(file).is_some()
}

fn data_length(file: &[u8]) -> Option<u64> {
    let (prefix, rest) = file.split_first_chunk::<8>()?;
    let header = rest.get(..usize::try_from(u64::from_le_bytes(*prefix)).ok()?)?;
    if header.first() != Some(&b'{') || header.len() > 100_000_000 {
        return None;
    }
    let Pairs(mut named): Pairs<Pairs<Value>> = serde_json::from_slice(header).ok()?;
    named.sort_by(|(a, _), (b, _)| a.cmp(b));
    if named.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return None;
    }
    let mut ranges = Vec::new();
    for (name, Pairs(fields)) in named {
        if name == "__metadata__" {
            fields.iter().all(|(_, value)| value.is_string()).then_some(())?;
        } else {
            ranges.push(range(&fields)?);
        }
    }
    ranges.sort_unstable();
    let covered = ranges.into_iter().try_fold(0, |covered, (begin, end)| (begin == covered).then_some(end))?;
    let length = (rest.len() - header.len()) as u64;
    (covered == length).then_some(length)
}

/// Where a tensor begins and ends, when its fields are right.
fn range(fields: &[(String, Value)]) -> Option<(u64, u64)> {
    let field = |name| fields.iter().find(|(field, _)| field == name).map(|(_, value)| value);
    let numbers = |name| -> Option<Vec<u64>> { field(name)?.as_array()?.iter().map(Value::as_u64).collect() };
    let (dtype, shape) = (field("dtype")?.as_str()?, numbers("shape")?);
    let [begin, end] = numbers("data_offsets")?[..] else { return None };
    let bits = match dtype {
        "F4" => 4,
        "F6_E2M3" | "F6_E3M2" => 6,
        "BOOL" | "U8" | "I8" | "F8_E5M2" | "F8_E4M3" | "F8_E8M0" | "F8_E4M3FNUZ" | "F8_E5M2FNUZ" => 8,
        "U16" | "I16" | "F16" | "BF16" => 16,
        "U32" | "I32" | "F32" => 32,
        "U64" | "I64" | "F64" | "C64" => 64,
        _ => return None,
    };
    let elements = shape.into_iter().try_fold(1_u64, u64::checked_mul)?;
    let bits = elements.checked_mul(bits)?;
    let right = fields.len() == 3 && bits % 8 == 0 && end.checked_sub(begin) == Some(bits / 8);
    right.then_some((begin, end))
}
