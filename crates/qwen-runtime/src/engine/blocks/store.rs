//! [`BlockStore`]: who owns each block, which blocks can be found by their content, and which one
//! gives way when there is no other.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use super::block::BlockId;
use crate::TokenId;

/// The content of a block together with everything before it. A number stands for one content
/// only, for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ContentId(u64);

/// What a block is found by. Lookups compare all of it: were a hash alone enough, a collision would
/// show one patient's text to another.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    /// The block before; `None` at the start of a sequence.
    parent: Option<ContentId>,
    tokens: Box<[TokenId]>,
}

/// The content under which a block can be found.
struct Published {
    content: ContentId,
    key: Arc<Key>,
}

#[derive(Default)]
struct Block {
    /// Tables that name it.
    owners: usize,
    published: Option<Published>,
    /// Its key in `idle`, while it is there.
    idle_since: u64,
}

/// All blocks. Each is either owned, or idle (findable, without an owner), or free.
pub(super) struct BlockStore {
    blocks: Vec<Block>,
    /// Blocks of a bundle.
    bundle: usize,
    free: BTreeSet<BlockId>,
    /// How many blocks of each bundle are not free, those that a last, shorter bundle lacks included.
    taken: Vec<usize>,
    /// The bundles whose blocks are all free.
    vacant: BTreeSet<usize>,
    /// From the least recently used on.
    idle: BTreeMap<u64, BlockId>,
    index: HashMap<Arc<Key>, BlockId>,
    clock: u64,
    next_content: u64,
}

impl BlockStore {
    /// `blocks` blocks in bundles of `bundle`.
    pub(super) fn new(blocks: usize, bundle: usize) -> Self {
        // More blocks than a number of 32 bits counts are not used.
        let count = u32::try_from(blocks).unwrap_or(u32::MAX);
        let (bundle, len) = (bundle.max(1), count as usize);
        let mut taken = vec![0; len.div_ceil(bundle)];
        if let Some(last) = taken.last_mut() {
            *last = len.next_multiple_of(bundle) - len;
        }
        Self {
            blocks: (0..count).map(|_| Block::default()).collect(),
            bundle,
            free: (0..count).map(BlockId::new).collect(),
            vacant: (0..len / bundle).collect(),
            taken,
            idle: BTreeMap::new(),
            index: HashMap::new(),
            clock: 0,
            next_content: 0,
        }
    }

    /// All blocks.
    pub(super) fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Blocks that can be taken now.
    pub(super) fn available(&self) -> usize {
        self.free.len() + self.idle.len()
    }

    pub(super) fn owners(&self, block: BlockId) -> usize {
        self.blocks[block.index()].owners
    }

    /// The content under which a block can be found, if it can.
    pub(super) fn content(&self, block: BlockId) -> Option<ContentId> {
        self.blocks[block.index()].published.as_ref().map(|published| published.content)
    }

    /// A block for one owner, that nobody finds, to be number `number` of a sequence, behind the block `before`. Where
    /// none is free, the content that was not used for longest is forgotten.
    ///
    /// As long as bundles are free, a sequence has whole ones, each block in its order, whatever other sequences take
    /// meanwhile: so attention reads its keys and values from one place on. Places of what is forgotten are taken one by
    /// one.
    pub(super) fn take(&mut self, before: Option<BlockId>, number: usize) -> Option<BlockId> {
        let slot = number % self.bundle;
        let next = before.filter(|_| slot > 0).map(|before| before.index() / self.bundle * self.bundle + slot);
        let next = next.map(BlockId::at).filter(|block| self.free.contains(block));
        let in_vacant = || self.vacant.first().map(|bundle| BlockId::at(bundle * self.bundle + slot));
        let block = match next.or_else(in_vacant).or_else(|| self.free.first().copied()) {
            Some(block) => {
                self.free.remove(&block);
                self.vacant.remove(&(block.index() / self.bundle));
                self.taken[block.index() / self.bundle] += 1;
                block
            }
            None => {
                let (_, block) = self.idle.pop_first()?;
                self.withdraw(block);
                block
            }
        };
        self.blocks[block.index()].owners = 1;
        Some(block)
    }

    /// Adds an owner.
    pub(super) fn share(&mut self, id: BlockId) {
        let block = &mut self.blocks[id.index()];
        if block.owners == 0 {
            self.idle.remove(&block.idle_since);
        }
        block.owners += 1;
    }

    /// Takes an owner away.
    pub(super) fn release(&mut self, id: BlockId) {
        let block = &mut self.blocks[id.index()];
        block.owners -= 1;
        if block.owners > 0 {
            return;
        }
        if block.published.is_some() {
            self.clock += 1;
            block.idle_since = self.clock;
            self.idle.insert(self.clock, id);
        } else {
            self.free.insert(id);
            let bundle = id.index() / self.bundle;
            self.taken[bundle] -= 1;
            if self.taken[bundle] == 0 {
                self.vacant.insert(bundle);
            }
        }
    }

    /// The block that holds `tokens` after the content `parent`.
    pub(super) fn find(&self, parent: Option<ContentId>, tokens: &[TokenId]) -> Option<BlockId> {
        self.index.get(&Key { parent, tokens: tokens.into() }).copied()
    }

    /// Makes a full block findable. Where another one holds the same already, that one takes its
    /// place and is returned: each content is there once.
    pub(super) fn publish(&mut self, block: BlockId, parent: Option<ContentId>, tokens: &[TokenId]) -> BlockId {
        if let Some(same) = self.find(parent, tokens) {
            self.share(same);
            self.release(block);
            return same;
        }
        let key = Arc::new(Key { parent, tokens: tokens.into() });
        let content = ContentId(self.next_content);
        self.next_content += 1;
        self.index.insert(Arc::clone(&key), block);
        self.blocks[block.index()].published = Some(Published { content, key });
        block
    }

    /// Makes a block unfindable, before other tokens are written into it.
    pub(super) fn withdraw(&mut self, block: BlockId) {
        if let Some(published) = self.blocks[block.index()].published.take() {
            self.index.remove(&published.key);
        }
    }
}

/// Shows numbers only: the keys are the words of patients.
impl fmt::Debug for BlockStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockStore")
            .field("blocks", &self.blocks.len())
            .field("free", &self.free.len())
            .field("idle", &self.idle.len())
            .field("findable", &self.index.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
impl BlockStore {
    /// Checks that every block is in one place only, and every findable one in the index.
    pub(super) fn check(&self) {
        for bundle in 0..self.blocks.len() / self.bundle {
            let taken = (0..self.bundle).filter(|slot| !self.free.contains(&BlockId::at(bundle * self.bundle + slot)));
            assert_eq!(self.taken[bundle], taken.count(), "bundle {bundle}");
            assert_eq!(self.vacant.contains(&bundle), self.taken[bundle] == 0, "bundle {bundle}");
        }
        let mut findable = 0;
        for (id, block) in (0..).map(BlockId::new).zip(&self.blocks) {
            let idle = self.idle.get(&block.idle_since) == Some(&id);
            assert_eq!(self.free.contains(&id), block.owners == 0 && block.published.is_none(), "{id:?} is lost");
            assert_eq!(idle, block.owners == 0 && block.published.is_some(), "{id:?} is lost");
            if let Some(published) = &block.published {
                findable += 1;
                assert_eq!(self.index.get(&published.key), Some(&id), "{id:?} cannot be found");
            }
        }
        assert_eq!(findable, self.index.len(), "the index names a block that holds something else");
    }

    /// The tokens by which a block can be found.
    pub(super) fn findable_by(&self, block: BlockId) -> Option<&[TokenId]> {
        self.blocks[block.index()].published.as_ref().map(|published| &*published.key.tokens)
    }
}
