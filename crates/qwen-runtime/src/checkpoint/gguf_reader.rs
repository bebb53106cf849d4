//! Reads the primitive values of a GGUF header from bytes that may end or lie anywhere.

use super::gguf::MetadataValue;

/// Longest key or tensor name; ggml allows 65,535 and 64.
const MAX_NAME: usize = 65_535;
/// Deepest nesting that is skipped over; real files have none.
const MAX_NESTING: u32 = 4;

/// `enum gguf_metadata_value_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScalarKind {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    Bool,
    String,
    Array,
    U64,
    I64,
    F64,
}

impl ScalarKind {
    fn from_u32(value: u32) -> Result<Self, String> {
        Ok(match value {
            0 => Self::U8,
            1 => Self::I8,
            2 => Self::U16,
            3 => Self::I16,
            4 => Self::U32,
            5 => Self::I32,
            6 => Self::F32,
            7 => Self::Bool,
            8 => Self::String,
            9 => Self::Array,
            10 => Self::U64,
            11 => Self::I64,
            12 => Self::F64,
            other => return Err(format!("metadata of unknown type {other}")),
        })
    }

    /// Bytes of one value, where all have the same.
    fn size(self) -> Option<usize> {
        match self {
            Self::U8 | Self::I8 | Self::Bool => Some(1),
            Self::U16 | Self::I16 => Some(2),
            Self::U32 | Self::I32 | Self::F32 => Some(4),
            Self::U64 | Self::I64 | Self::F64 => Some(8),
            Self::String | Self::Array => None,
        }
    }
}

/// A tensor as the header describes it; the shape is row-major (ggml's order reversed).
pub(crate) struct TensorInfo {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) ggml_type: u32,
    pub(crate) offset: u64,
}

/// A position in the bytes of a file. Reading past the end is an error, never a panic.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

type Read<T> = Result<T, String>;

impl<'a> Reader<'a> {
    pub(crate) fn at(bytes: &'a [u8], position: usize) -> Self {
        Self { bytes, position }
    }

    pub(crate) fn position(&self) -> usize {
        self.position
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Read<&'a [u8]> {
        let end = self.position.checked_add(len);
        let slice = end.and_then(|end| self.bytes.get(self.position..end));
        let slice = slice.ok_or_else(|| format!("the header is cut off at byte {}", self.bytes.len()))?;
        self.position += len;
        Ok(slice)
    }

    fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        let slice = self.bytes(N)?;
        slice.try_into().map_err(|_| "the header is cut off".to_owned())
    }

    pub(crate) fn u32(&mut self) -> Read<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Read<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn len(&mut self) -> Read<usize> {
        let len = self.u64()?;
        usize::try_from(len).map_err(|_| format!("length {len} is out of range"))
    }

    pub(crate) fn string(&mut self) -> Read<&'a str> {
        let len = self.len()?;
        std::str::from_utf8(self.bytes(len)?).map_err(|_| "a string is not UTF-8".to_owned())
    }

    fn name(&mut self) -> Read<String> {
        let name = self.string()?;
        if name.len() > MAX_NAME {
            return Err("a name is longer than 65,535 bytes".to_owned());
        }
        Ok(name.to_owned())
    }

    /// A key and its value.
    pub(crate) fn entry(&mut self) -> Read<(String, MetadataValue)> {
        let key = self.name()?;
        let kind = ScalarKind::from_u32(self.u32()?)?;
        let value = if kind == ScalarKind::Array { self.array_place()? } else { self.scalar(kind)? };
        Ok((key, value))
    }

    pub(crate) fn scalar(&mut self, kind: ScalarKind) -> Read<MetadataValue> {
        Ok(match kind {
            ScalarKind::U8 => MetadataValue::Unsigned(u64::from(u8::from_le_bytes(self.array()?))),
            ScalarKind::I8 => MetadataValue::Signed(i64::from(i8::from_le_bytes(self.array()?))),
            ScalarKind::U16 => MetadataValue::Unsigned(u64::from(u16::from_le_bytes(self.array()?))),
            ScalarKind::I16 => MetadataValue::Signed(i64::from(i16::from_le_bytes(self.array()?))),
            ScalarKind::U32 => MetadataValue::Unsigned(u64::from(self.u32()?)),
            ScalarKind::I32 => MetadataValue::Signed(i64::from(i32::from_le_bytes(self.array()?))),
            ScalarKind::F32 => MetadataValue::Float(f64::from(f32::from_le_bytes(self.array()?))),
            ScalarKind::Bool => MetadataValue::Bool(self.array::<1>()? != [0]),
            ScalarKind::String => MetadataValue::String(self.string()?.to_owned()),
            ScalarKind::U64 => MetadataValue::Unsigned(self.u64()?),
            ScalarKind::I64 => MetadataValue::Signed(i64::from_le_bytes(self.array()?)),
            ScalarKind::F64 => MetadataValue::Float(f64::from_le_bytes(self.array()?)),
            ScalarKind::Array => return Err("an array inside an array".to_owned()),
        })
    }

    /// Notes where an array lies and moves past it.
    fn array_place(&mut self) -> Read<MetadataValue> {
        let kind = ScalarKind::from_u32(self.u32()?)?;
        let count = self.len()?;
        let offset = self.position;
        self.skip(kind, count, MAX_NESTING)?;
        Ok(MetadataValue::Array { kind, count, offset })
    }

    fn skip(&mut self, kind: ScalarKind, count: usize, nesting: u32) -> Read<()> {
        if let Some(size) = kind.size() {
            self.bytes(count.checked_mul(size).ok_or("an array's size overflows")?)?;
            return Ok(());
        }
        // Each round consumes at least 8 bytes, so a lying count ends at the end of the file.
        for _ in 0..count {
            if kind == ScalarKind::String {
                self.string()?;
            } else {
                let depth = nesting.checked_sub(1).ok_or("arrays are nested too deeply")?;
                let inner = ScalarKind::from_u32(self.u32()?)?;
                let inner_count = self.len()?;
                self.skip(inner, inner_count, depth)?;
            }
        }
        Ok(())
    }

    pub(crate) fn tensor_info(&mut self, max_dimensions: u32) -> Read<TensorInfo> {
        let name = self.name()?;
        let dimensions = self.u32()?;
        if dimensions == 0 || dimensions > max_dimensions {
            return Err(format!("tensor {name} has {dimensions} dimensions"));
        }
        let mut shape = Vec::new();
        for _ in 0..dimensions {
            shape.push(self.len()?);
        }
        shape.reverse();
        Ok(TensorInfo { name, shape, ggml_type: self.u32()?, offset: self.u64()? })
    }
}
