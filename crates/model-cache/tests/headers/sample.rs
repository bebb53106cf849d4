//! Small weight files, right and wrong.

/// A safetensors file with this header, and `data` bytes behind it.
pub(crate) fn safetensors(header: &str, data: usize) -> Vec<u8> {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.resize(file.len() + data, 0);
    file
}

/// Two tensors and metadata, as the format's own library writes them.
pub(crate) fn two_tensors() -> Vec<u8> {
    let header = r#"{"__metadata__":{"format":"pt"},"a.weight":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"b":{"dtype":"BF16","shape":[4],"data_offsets":[24,32]}} "#;
    safetensors(header, 32)
}

/// A GGUF file in the making.
#[derive(Default)]
pub(crate) struct Gguf {
    values: Vec<Vec<u8>>,
    tensors: Vec<Vec<u8>>,
}

impl Gguf {
    /// Adds a value of the type with this number, whose bytes are `value`.
    pub(crate) fn value(mut self, key: &str, kind: u32, value: &[u8]) -> Self {
        self.values.push([&text(key), kind.to_le_bytes().as_slice(), value].concat());
        self
    }

    /// Adds a tensor of the type with this number.
    pub(crate) fn tensor(mut self, name: &str, dimensions: &[u64], kind: u32, offset: u64) -> Self {
        let mut tensor = text(name);
        tensor.extend((dimensions.len() as u32).to_le_bytes());
        tensor.extend(dimensions.iter().flat_map(|size| size.to_le_bytes()));
        tensor.extend(kind.to_le_bytes());
        tensor.extend(offset.to_le_bytes());
        self.tensors.push(tensor);
        self
    }

    /// The header, without the tensors' bytes and what aligns them.
    pub(crate) fn header(&self) -> Vec<u8> {
        let mut file = [b"GGUF".as_slice(), &3_u32.to_le_bytes()].concat();
        file.extend((self.tensors.len() as u64).to_le_bytes());
        file.extend((self.values.len() as u64).to_le_bytes());
        file.extend(self.values.concat());
        file.extend(self.tensors.concat());
        file
    }

    /// The file, with `data` bytes of tensors that are aligned to `alignment`.
    pub(crate) fn file(&self, alignment: usize, data: usize) -> Vec<u8> {
        let mut file = self.header();
        file.resize(file.len().next_multiple_of(alignment) + data, 0);
        file
    }
}

/// A text as it stands in a GGUF file.
pub(crate) fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

/// An array as it stands in a GGUF file.
pub(crate) fn array(kind: u32, elements: &[Vec<u8>]) -> Vec<u8> {
    [kind.to_le_bytes().as_slice(), &(elements.len() as u64).to_le_bytes(), &elements.concat()].concat()
}

/// One value of each type and two tensors: 72 bytes of Q8_0 (68) and 8 of F32, aligned to 8.
pub(crate) fn every_type() -> Gguf {
    let mut gguf = Gguf::default().value("general.alignment", 4, &8_u32.to_le_bytes());
    for (kind, length) in [(0, 1), (1, 1), (2, 2), (3, 2), (4, 4), (5, 4), (6, 4), (7, 1), (10, 8), (11, 8), (12, 8)] {
        gguf = gguf.value("a.value", kind, &vec![1; length]).value(
            "an.array",
            9,
            &array(kind, &[vec![1; length], vec![0; length]]),
        );
    }
    gguf.value("a.text", 8, &text("qwen3"))
        .value("tokenizer.tokens", 9, &array(8, &[text("a"), text(""), text("Ġb")]))
        .value("an.array.of.arrays", 9, &array(9, &[array(0, &[vec![1]]), array(8, &[text("a")])]))
        .tensor("token_embd.weight", &[32, 2], 8, 0)
        .tensor("output_norm.weight", &[2], 0, 72)
}

/// [`every_type`] with its tensors.
pub(crate) fn every_type_file() -> Vec<u8> {
    every_type().file(8, 80)
}
