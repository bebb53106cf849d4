//! Owns what a safetensors header says of one name: a tensor, or `__metadata__`. Must not know about other names.
//!
//! Whatever stands in place of something else goes to a visitor (`deserialize_any`), which says so in few words. Where
//! the parser is told what to expect, it repeats the text that it found, escaped, and takes 25 times the text's length.

use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, Expected, MapAccess, SeqAccess, Unexpected, Visitor};

use super::dtype::Dtype;

/// What the header says of a tensor.
pub(super) struct Entry {
    /// How long dtype and shape make it; `None` when that is more than can be counted, or no whole number of bytes.
    pub(super) bytes: Option<u64>,
    pub(super) data_offsets: (u64, u64),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    dtype: Dtype,
    shape: Shape,
    data_offsets: Range,
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EntryVisitor)
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
        Ok(Entry { bytes, data_offsets: data_offsets.0 })
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Entry, E> {
        Err(text_instead_of(&self))
    }
}

/// A shape, as its number of elements; `None` when that is more than can be counted.
struct Shape {
    elements: Option<u64>,
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor)
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
        while let Some(Number(dimension)) = dimensions.next_element()? {
            elements = elements.and_then(|elements| elements.checked_mul(dimension));
        }
        Ok(Shape { elements })
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Shape, E> {
        Err(text_instead_of(&self))
    }
}

/// Where something begins and ends.
struct Range((u64, u64));

impl<'de> Deserialize<'de> for Range {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RangeVisitor)
    }
}

struct RangeVisitor;

impl<'de> Visitor<'de> for RangeVisitor {
    type Value = Range;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("two offsets")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut offsets: A) -> Result<Range, A::Error> {
        match (offsets.next_element()?, offsets.next_element()?) {
            (Some(Number(begin)), Some(Number(end))) => Ok(Range((begin, end))),
            _ => Err(A::Error::custom("data_offsets are not two")),
        }
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Range, E> {
        Err(text_instead_of(&self))
    }
}

struct Number(u64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberVisitor)
    }
}

struct NumberVisitor;

impl Visitor<'_> for NumberVisitor {
    type Value = Number;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a whole number")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Number, E> {
        Ok(Number(number))
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Number, E> {
        Err(text_instead_of(&self))
    }
}

/// Texts by name, which nobody here reads.
pub(super) struct Metadata;

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MetadataVisitor)
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

    fn visit_str<E: Error>(self, _: &str) -> Result<Metadata, E> {
        Err(text_instead_of(&self))
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

/// Says that something else was expected, without the text itself.
fn text_instead_of<E: Error>(expected: &dyn Expected) -> E {
    E::invalid_type(Unexpected::Other("a text"), expected)
}
