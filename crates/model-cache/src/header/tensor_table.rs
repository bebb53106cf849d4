//! Owns which tensors a safetensors header names, and where their bytes lie. Must not know how the header was read.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use super::entry::{Entry, Metadata};
use super::excerpt::excerpt;

/// A tensor's range of bytes; `begin <= end`, and it is as long as the tensor's dtype and shape say.
pub(super) struct Tensor<'a> {
    pub(super) name: Cow<'a, str>,
    pub(super) begin: u64,
    pub(super) end: u64,
}

/// A name as it stands in the header, without a copy where nothing in it is escaped.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// The tensors in the order in which they stand there. A map would cost more, and would hide names that stand twice.
pub(super) struct TensorTable<'a>(pub(super) Vec<Tensor<'a>>);

impl<'de> Deserialize<'de> for TensorTable<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(TableVisitor)
    }
}

struct TableVisitor;

impl<'de> Visitor<'de> for TableVisitor {
    type Value = TensorTable<'de>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("tensors by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TensorTable<'de>, A::Error> {
        let mut tensors = Vec::new();
        let mut metadata = None;
        while let Some(Name(name)) = map.next_key()? {
            if name == "__metadata__" {
                if metadata.replace(map.next_value::<Metadata>()?).is_some() {
                    return Err(A::Error::custom("__metadata__ is there twice"));
                }
                continue;
            }
            let Entry { bytes, data_offsets: (begin, end) } = map.next_value()?;
            if bytes.is_none() || bytes != end.checked_sub(begin) {
                let name = excerpt(&name);
                return Err(A::Error::custom(format_args!("tensor {name} is not as long as dtype and shape say")));
            }
            tensors.push(Tensor { name, begin, end });
        }
        Ok(TensorTable(tensors))
    }
}
