//! Owns what a safetensors header says of one name: a tensor, or `__metadata__`. Must not know about other names.

use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::dtype::Dtype;

/// What the header says of a tensor.
pub(super) struct Entry {
    /// How long dtype and shape make it; `None` when that is more than can be counted, or no whole number of bytes.
    pub(super) bytes: Option<u64>,
    pub(super) data_offsets: (u64, u64),
}

#[derive(Deserialize)]
struct Fields {
    dtype: Dtype,
    shape: Shape,
    data_offsets: (u64, u64),
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntryVisitor)
    }
}

/// Takes an object only; what is derived would take an array of the same fields, too.
struct EntryVisitor;

impl<'de> Visitor<'de> for EntryVisitor {
    type Value = Entry;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("dtype, shape and data_offsets of a tensor")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Entry, A::Error> {
        let Fields { dtype, shape, data_offsets } = Fields::deserialize(MapAccessDeserializer::new(map))?;
        let bits = shape.elements.and_then(|elements| elements.checked_mul(dtype.bits));
        let bytes = bits.filter(|bits| bits.is_multiple_of(8)).map(|bits| bits / 8);
        Ok(Entry { bytes, data_offsets })
    }
}

/// A shape, as its number of elements; `None` when that is more than can be counted.
struct Shape {
    elements: Option<u64>,
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ShapeVisitor)
    }
}

/// Multiplies the dimensions instead of keeping them, of which there can be any number.
struct ShapeVisitor;

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("the dimensions of a shape")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut dimensions: A) -> Result<Shape, A::Error> {
        let mut elements = Some(1_u64);
        while let Some(dimension) = dimensions.next_element()? {
            elements = elements.and_then(|elements| elements.checked_mul(dimension));
        }
        Ok(Shape { elements })
    }
}

/// Texts by name, which nobody here reads.
pub(super) struct Metadata;

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MetadataVisitor)
    }
}

struct MetadataVisitor;

impl<'de> Visitor<'de> for MetadataVisitor {
    type Value = Metadata;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("texts by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Metadata, A::Error> {
        while map.next_entry::<Text, Text>()?.is_some() {}
        Ok(Metadata)
    }
}

/// A text that is there, and not kept.
struct Text;

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor)
    }
}

struct TextVisitor;

impl Visitor<'_> for TextVisitor {
    type Value = Text;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a text")
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Text, E> {
        Ok(Text)
    }
}
