//! Owns which tensors a safetensors header names, and where their bytes lie. Must not know where the header is from.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::io::Read;

use super::entry;
use super::excerpt::Excerpt;
use super::stop::Stop;
use super::tokens::{BUFFER_SHARE, Tokens};

/// The least that a header says of a tensor, with the comma that divides it from the next.
const SHORTEST: &[u8] = br#""":{"dtype":"U8","shape":[],"data_offsets":[0,1]},"#;

// What is kept of a tensor is less than what the header says of it, by more than the buffer takes in which the header
// is read: both together are smaller than the header.
const _: () = assert!(size_of::<Tensor>() < SHORTEST.len() - SHORTEST.len() / BUFFER_SHARE as usize);

/// What is kept of a tensor.
#[derive(Debug, Clone, Copy)]
struct Tensor {
    begin: u64,
    end: u64,
    /// Stands for the name. The hash has a random key, so nobody can make two names with the same digest; by chance,
    /// one of 300 billion headers with 10,000 names has two.
    digest: u64,
    /// Where the name stands in the header, in bytes from its beginning.
    position: u32,
}

/// What is wrong with a tensor beside the others.
pub(super) struct Conflict {
    /// Where the tensor's name stands in the header, in bytes from its beginning.
    pub(super) position: u64,
    /// What the tensor does, as part of a sentence.
    pub(super) what: &'static str,
}

/// The tensors of a header.
pub(super) struct TensorTable(Vec<Tensor>);

impl TensorTable {
    /// Goes over a header of `length` bytes, at most 4 GiB.
    pub(super) fn read(tokens: &mut Tokens<impl Read>, length: u64) -> Result<Self, Stop> {
        // Room for as many tensors as there can be: it never grows, which would take the old and the new room at once.
        let mut tensors = Vec::with_capacity(length as usize / SHORTEST.len());
        let hashes = RandomState::new();
        let mut metadata = false;
        tokens.list([b'{', b'}'], |tokens| {
            tokens.after_space()?;
            let position = tokens.position() as u32;
            let (mut name, mut hasher) = (Excerpt::default(), hashes.build_hasher());
            tokens.text(|character| {
                name.push(character);
                character.hash(&mut hasher);
            })?;
            tokens.expect(b':')?;
            if name.whole() != Some("__metadata__") {
                let (begin, end) = entry::range(tokens, &name)?;
                tensors.push(Tensor { begin, end, digest: hasher.finish(), position });
                return Ok(());
            }
            if std::mem::replace(&mut metadata, true) {
                return Err(tokens.malformed("__metadata__ is there twice"));
            }
            // Texts by name, which nobody here reads.
            tokens.object(|tokens, _| tokens.text(|_| {}))
        })?;
        tokens.finish()?;
        Ok(Self(tensors))
    }

    /// How many bytes the tensors take, which cover them without holes or overlaps; names no tensor twice.
    pub(super) fn data_length(self) -> Result<u64, Conflict> {
        let Self(mut tensors) = self;
        let conflict = |tensor: &Tensor, what| Conflict { position: tensor.position.into(), what };
        tensors.sort_unstable_by_key(|tensor| (tensor.begin, tensor.end));
        let mut covered = 0;
        for tensor in &tensors {
            if tensor.begin != covered {
                let what = if tensor.begin < covered { "overlaps another" } else { "lies behind a hole" };
                return Err(conflict(tensor, what));
            }
            covered = tensor.end;
        }
        tensors.sort_unstable_by_key(|tensor| tensor.digest);
        match tensors.array_windows().find(|[a, b]| a.digest == b.digest) {
            Some([twice, _]) => Err(conflict(twice, "is there twice")),
            None => Ok(covered),
        }
    }
}
