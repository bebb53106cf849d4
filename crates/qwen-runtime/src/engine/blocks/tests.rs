//! The pool beside a model of it that knows every token.
//!
//! The model's cache has a row for each token, as a KV cache has, and a row depends on all tokens up
//! to its own. So a block that is shared, found or overwritten in error shows as a wrong row.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{Hash, Hasher};

use proptest::prelude::*;

use super::{BlockCopy, BlockId, BlockPool};
use crate::TokenId;
use crate::engine::SequenceId;
use crate::error::RuntimeError;

const BLOCK_LEN: usize = 3;
const BLOCKS: usize = 9;
const BUNDLE: usize = 2;
const MAX_SEQUENCES: usize = 4;

/// What a KV cache holds for the last of `tokens`.
fn row(tokens: &[TokenId]) -> u64 {
    let mut hasher = DefaultHasher::new();
    tokens.hash(&mut hasher);
    hasher.finish()
}

#[derive(Debug, Clone)]
enum Operation {
    Allocate,
    Resume(Vec<TokenId>),
    Free(usize),
    Truncate(usize, usize),
    Fork(usize, usize),
    /// New tokens for the sequences at these places, written and recorded.
    Step(Vec<(usize, Vec<TokenId>)>),
    /// The same, but the computation fails after it has written: then nothing has been appended.
    FailedStep(Vec<(usize, Vec<TokenId>)>),
}

/// Few tokens, so that sequences have beginnings in common.
fn tokens(most: usize) -> impl Strategy<Value = Vec<TokenId>> {
    prop::collection::vec(0..2_u32, 0..most)
}

fn operation() -> impl Strategy<Value = Operation> {
    let step = || prop::collection::vec((0..MAX_SEQUENCES, tokens(6)), 1..4);
    prop_oneof![
        1 => Just(Operation::Allocate),
        4 => tokens(14).prop_map(Operation::Resume),
        3 => (0..MAX_SEQUENCES).prop_map(Operation::Free),
        2 => (0..MAX_SEQUENCES, 0..14_usize).prop_map(|(at, length)| Operation::Truncate(at, length)),
        2 => (0..MAX_SEQUENCES, 0..14_usize).prop_map(|(at, length)| Operation::Fork(at, length)),
        8 => step().prop_map(Operation::Step),
        1 => step().prop_map(Operation::FailedStep),
    ]
}

struct Model {
    pool: BlockPool,
    sequences: BTreeMap<SequenceId, Vec<TokenId>>,
    /// The rows of each block.
    cache: Vec<[u64; BLOCK_LEN]>,
    token_of_row: HashMap<u64, TokenId>,
    /// Whether a full block was ever written into, after its sequence had lost tokens or as the last
    /// of a fork: then the blocks after it cannot be found.
    rewritten: bool,
}

impl Model {
    fn new() -> Self {
        Self {
            pool: BlockPool::new(BLOCKS, BUNDLE, BLOCK_LEN, MAX_SEQUENCES),
            sequences: BTreeMap::new(),
            cache: vec![[0; BLOCK_LEN]; BLOCKS],
            token_of_row: HashMap::new(),
            rewritten: false,
        }
    }

    fn at(&self, place: usize) -> SequenceId {
        self.sequences.keys().nth(place).copied().unwrap_or(SequenceId::new(u64::MAX))
    }

    fn apply(&mut self, operation: Operation) {
        match operation {
            Operation::Allocate => {
                let made = self.pool.allocate();
                assert_eq!(made.is_ok(), self.sequences.len() < MAX_SEQUENCES);
                self.sequences.extend(made.map(|id| (id, Vec::new())));
            }
            Operation::Resume(tokens) => {
                let longest = self.longest_cached(&tokens);
                let made = self.pool.resume(&tokens);
                assert_eq!(made.is_ok(), self.sequences.len() < MAX_SEQUENCES);
                if let Ok((id, cached)) = made {
                    assert!(
                        if self.rewritten { cached <= longest } else { cached == longest },
                        "{cached} of {longest}"
                    );
                    self.sequences.insert(id, tokens[..cached].to_vec());
                }
            }
            Operation::Free(place) => {
                let id = self.at(place);
                assert_eq!(self.pool.free(id).is_ok(), self.sequences.remove(&id).is_some());
            }
            Operation::Truncate(place, length) => {
                let id = self.at(place);
                let done = self.pool.truncate(id, length);
                let Some(tokens) = self.sequences.get_mut(&id).filter(|tokens| tokens.len() >= length) else {
                    assert!(done.is_err());
                    return;
                };
                tokens.truncate(length);
                done.unwrap();
            }
            Operation::Fork(place, length) => {
                let id = self.at(place);
                let beginning = self.sequences.get(&id).and_then(|tokens| tokens.get(..length)).map(<[_]>::to_vec);
                let room = self.sequences.len() < MAX_SEQUENCES;
                match (self.pool.fork(id, length), beginning) {
                    (Ok(fork), Some(tokens)) => drop(self.sequences.insert(fork, tokens)),
                    (made, beginning) => assert!(made.is_err() && !(beginning.is_some() && room)),
                }
            }
            Operation::Step(parts) => self.step(parts, true),
            Operation::FailedStep(parts) => self.step(parts, false),
        }
    }

    fn step(&mut self, parts: Vec<(usize, Vec<TokenId>)>, computed: bool) {
        let parts: BTreeMap<SequenceId, Vec<TokenId>> =
            parts.into_iter().map(|(place, tokens)| (self.at(place), tokens)).collect();
        let step: Vec<_> = parts.iter().map(|(&id, tokens)| (id, tokens.len())).collect();
        let before = (self.tables(), self.pool.free_tokens());
        let owned: Vec<_> = self.findable().filter(|&block| self.pool.store.owners(block) > 0).collect();
        let copies = match self.pool.reserve(&step) {
            Ok(copies) => copies,
            Err(error) => {
                let known = parts.keys().all(|id| self.sequences.contains_key(id));
                match error {
                    RuntimeError::CacheFull { needed, available } => {
                        assert!(known && needed > available && available == before.1, "{needed} {available}");
                    }
                    error => assert!(!known && matches!(error, RuntimeError::UnknownSequence), "{error}"),
                }
                assert_eq!((self.tables(), self.pool.free_tokens()), before, "a refused step changed something");
                return;
            }
        };
        self.rewritten |= owned.iter().any(|&block| self.pool.store.findable_by(block).is_none());
        for BlockCopy { from, to, tokens } in copies {
            let (rows, own) = (self.cache[from.index()], &mut self.cache[to.index()]);
            own.fill(0);
            own[..tokens].copy_from_slice(&rows[..tokens]);
        }
        for (&id, new) in &parts {
            let table = self.pool.table(id).unwrap().to_vec();
            let mut all = self.sequences[&id].clone();
            for &token in new {
                let (block, place) = (table[all.len() / BLOCK_LEN], all.len() % BLOCK_LEN);
                all.push(token);
                self.cache[block.index()][place] = row(&all);
                self.token_of_row.insert(row(&all), token);
            }
            if computed {
                self.pool.append(id, new).unwrap();
                self.sequences.insert(id, all);
            } else if new.len() % 2 == 0 {
                // Room may be given back, or kept for the next try.
                self.pool.truncate(id, self.sequences[&id].len()).unwrap();
            }
        }
    }

    fn tables(&self) -> Vec<Vec<BlockId>> {
        self.sequences.keys().map(|&id| self.pool.table(id).unwrap().to_vec()).collect()
    }

    fn findable(&self) -> impl Iterator<Item = BlockId> {
        (0..BLOCKS as u32).map(BlockId::new).filter(|&block| self.pool.store.findable_by(block).is_some())
    }

    /// Tokens at the start of `tokens` whose rows lie in full blocks that can be found.
    fn longest_cached(&self, tokens: &[TokenId]) -> usize {
        let ends: HashSet<u64> = self.findable().map(|block| self.cache[block.index()][BLOCK_LEN - 1]).collect();
        let most = tokens.len().saturating_sub(1) / BLOCK_LEN;
        let blocks = (1..=most).take_while(|blocks| ends.contains(&row(&tokens[..blocks * BLOCK_LEN])));
        blocks.count() * BLOCK_LEN
    }

    fn check(&self) {
        self.pool.check();
        for (&id, tokens) in &self.sequences {
            assert_eq!(self.pool.len(id).unwrap(), tokens.len());
            let table = self.pool.table(id).unwrap();
            for (position, end) in (1..=tokens.len()).enumerate() {
                let held = self.cache[table[position / BLOCK_LEN].index()][position % BLOCK_LEN];
                assert_eq!(held, row(&tokens[..end]), "position {position} of {id:?}");
            }
        }
        assert!(self.pool.free_tokens() <= self.pool.max_tokens() && self.pool.block_len() == BLOCK_LEN);
        assert_eq!(self.pool.sequences(), self.sequences.len());
        assert_eq!(self.pool.tokens(), self.sequences.values().map(Vec::len).sum::<usize>());
        for block in self.findable() {
            let held: Option<Vec<TokenId>> =
                self.cache[block.index()].iter().map(|row| self.token_of_row.get(row).copied()).collect();
            assert_eq!(held.as_deref(), self.pool.store.findable_by(block), "{block:?} holds something else");
        }
    }
}

fn play(operations: Vec<Operation>) {
    let mut model = Model::new();
    for operation in operations {
        model.apply(operation);
        model.check();
    }
    // Whatever happened, all room comes back.
    for id in model.sequences.into_keys() {
        model.pool.free(id).unwrap();
    }
    assert_eq!(model.pool.free_tokens(), BLOCKS * BLOCK_LEN);
    model.pool.check();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn blocks_hold_what_their_sequences_and_keys_say(operations in prop::collection::vec(operation(), 1..60)) {
        play(operations);
    }

    #[test]
    fn without_truncation_the_longest_cached_beginning_is_found(
        operations in prop::collection::vec(operation(), 1..60)
    ) {
        play(operations.into_iter().filter(|operation| !matches!(operation, Operation::Truncate(..))).collect());
    }
}

#[test]
fn what_followed_a_block_that_was_rewritten_is_not_found() {
    use Operation::*;
    let six = vec![0; 2 * BLOCK_LEN];
    let rewrite = [Allocate, Step(vec![(0, six)]), Fork(0, 1), Free(0), Step(vec![(0, vec![1])])];
    // Its content comes back in another block, under another name than the one that the second half knows.
    let again = [Allocate, Step(vec![(1, vec![0; BLOCK_LEN])]), Resume(vec![0; 2 * BLOCK_LEN + 1])];
    play(rewrite.into_iter().chain(again).collect());
}

/// Appends tokens to a sequence, as a step does.
fn write(pool: &mut BlockPool, id: SequenceId, tokens: &[TokenId]) -> Vec<BlockCopy> {
    let copies = pool.reserve(&[(id, tokens.len())]).unwrap();
    pool.append(id, tokens).unwrap();
    copies
}

#[test]
fn the_last_block_of_the_least_recently_used_chain_gives_way_first() {
    let mut pool = BlockPool::new(4, 2, 2, 4);
    let old = pool.allocate().unwrap();
    write(&mut pool, old, &[1, 2, 3, 4]);
    let new = pool.allocate().unwrap();
    write(&mut pool, new, &[5, 6, 7, 8]);
    pool.free(old).unwrap();
    pool.free(new).unwrap();
    let other = pool.allocate().unwrap();
    write(&mut pool, other, &[9]);
    let mut cached = |tokens: &[TokenId]| {
        let (id, cached) = pool.resume(tokens).unwrap();
        pool.free(id).unwrap();
        cached
    };
    assert_eq!((cached(&[1, 2, 3, 4, 0]), cached(&[5, 6, 7, 8, 0])), (2, 4));
}

/// Where the blocks of a sequence lie.
fn places(pool: &BlockPool, id: SequenceId) -> Vec<usize> {
    pool.table(id).unwrap().iter().map(|block| block.index()).collect()
}

#[test]
fn sequences_that_grow_in_turns_have_bundles_of_their_own_while_there_are_some() {
    let mut pool = BlockPool::new(11, 4, 1, 4);
    let [one, two] = [(); 2].map(|()| pool.allocate().unwrap());
    for token in 0..5 {
        write(&mut pool, one, &[token]);
        write(&mut pool, two, &[10 + token]);
    }
    // The last bundle has three places only, so that it is nobody's own.
    assert_eq!((places(&pool, one), places(&pool, two)), (vec![0, 1, 2, 3, 8], vec![4, 5, 6, 7, 9]));
    pool.free(two).unwrap();
    write(&mut pool, one, &[5, 6]);
    assert_eq!(places(&pool, one)[5..], [10, 9], "the only free place, then what was used least recently");
}

#[test]
fn who_goes_on_behind_a_shared_beginning_has_the_same_slots_of_another_bundle() {
    let mut pool = BlockPool::new(16, 4, 1, 4);
    let one = pool.allocate().unwrap();
    write(&mut pool, one, &[0, 1, 2, 3, 4, 5, 6]);
    let two = pool.fork(one, 6).unwrap();
    write(&mut pool, two, &[7, 8, 9, 10]);
    assert_eq!(places(&pool, two), [0, 1, 2, 3, 4, 5, 10, 11, 12, 13]);
    // Places before that are taken when nothing better is left.
    let three = pool.allocate().unwrap();
    write(&mut pool, three, &[11, 12, 13, 14, 15]);
    assert_eq!(places(&pool, three), [7, 8, 9, 14, 15]);
}

#[test]
fn of_a_whole_cached_prompt_one_token_is_left_to_compute() {
    let mut pool = BlockPool::new(4, 2, 2, 4);
    let first = pool.allocate().unwrap();
    write(&mut pool, first, &[1, 2, 3, 4]);
    assert_eq!(pool.resume(&[1, 2, 3, 4]).unwrap().1, 2);
    assert_eq!(pool.resume(&[1, 2, 3]).unwrap().1, 2);
    assert_eq!(pool.resume(&[]).unwrap().1, 0);
}

#[test]
fn a_shared_block_is_copied_by_whoever_writes_first() {
    let mut pool = BlockPool::new(8, 2, 4, 4);
    let one = pool.allocate().unwrap();
    write(&mut pool, one, &[1, 2, 3, 4, 5]);
    let two = pool.fork(one, 5).unwrap();
    let shared = pool.table(one).unwrap()[1];
    // Both write in one step: one copy is enough.
    let copies = pool.reserve(&[(one, 1), (two, 1)]).unwrap();
    assert_eq!(copies, [BlockCopy { from: shared, to: pool.table(one).unwrap()[1], tokens: 1 }]);
    assert_eq!(pool.table(two).unwrap()[1], shared);
    // A full block that somebody else needs is not written into after a truncation.
    pool.truncate(two, 2).unwrap();
    let copies = write(&mut pool, two, &[9]);
    assert_eq!((copies[0].from, copies[0].tokens), (pool.table(one).unwrap()[0], 2));
}

#[test]
fn tokens_without_reserved_room_are_refused() {
    let mut pool = BlockPool::new(2, 2, 4, 2);
    let one = pool.allocate().unwrap();
    assert!(matches!(pool.append(one, &[1]), Err(RuntimeError::InvalidStep(_))));
    write(&mut pool, one, &[1, 2]);
    let two = pool.fork(one, 2).unwrap();
    assert!(matches!(pool.append(two, &[3]), Err(RuntimeError::InvalidStep(_))));
    assert!(matches!(pool.reserve(&[(one, 1), (one, 1)]), Err(RuntimeError::InvalidStep(_))));
    assert!(matches!(pool.reserve(&[(one, 6), (two, 1)]), Err(RuntimeError::CacheFull { needed: 8, available: 4 })));
}

#[test]
fn nothing_shows_the_tokens() {
    let mut pool = BlockPool::new(2, 2, 2, 2);
    let one = pool.allocate().unwrap();
    write(&mut pool, one, &[77_777, 88_888]);
    let shown = format!("{pool:?}");
    assert!(shown.contains("findable: 1") && !shown.contains("77777") && !shown.contains("88888"), "{shown}");
}
