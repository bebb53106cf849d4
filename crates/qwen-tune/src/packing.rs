//! [`PackedRow`]: several examples as one row of tokens, their common beginnings once.
//!
//! Conversations of one patient begin with the same record, and all begin with the same
//! instructions. So the tokens of a row form a tree: a token sees itself and those on its way to
//! the root, at the position that it would have alone. Each example's loss and gradients are
//! those of the example alone (a test compares them), for a fraction of the work.

use std::collections::HashMap;

use qwen_runtime::TokenId;

use crate::error::TuneError;
use crate::example::Example;

/// A token to be predicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// The place in the row after which it comes.
    pub after: u32,
    /// The token.
    pub token: TokenId,
}

/// Tokens of examples that are computed together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PackedRow {
    /// Every token behind the one that it follows.
    pub tokens: Vec<TokenId>,
    /// The distance of each from its root.
    pub positions: Vec<u32>,
    /// The place of the token before each; none for a root.
    pub parents: Vec<Option<u32>>,
    /// What is learnt.
    pub targets: Vec<Target>,
}

impl PackedRow {
    /// For each token the tokens that it sees, `(tokens, tokens)`, row-major.
    #[must_use]
    pub fn visible(&self) -> Vec<bool> {
        let len = self.tokens.len();
        let mut visible = vec![false; len * len];
        for (place, parent) in self.parents.iter().enumerate() {
            let (before, row) = visible.split_at_mut(place * len);
            if let Some(parent) = parent {
                row[..len].copy_from_slice(&before[*parent as usize * len..][..len]);
            }
            row[place] = true;
        }
        visible
    }

    /// The angles of rotary position embedding, `(tokens, pairs)`, in radians (arXiv 2104.09864).
    pub(crate) fn angles(&self, theta: f64, pairs: usize) -> impl Iterator<Item = f64> + '_ {
        let of = move |position: u32, pair: usize| f64::from(position) / theta.powf(pair as f64 / pairs as f64);
        self.positions.iter().flat_map(move |&position| (0..pairs).map(move |pair| of(position, pair)))
    }
}

/// Packs examples into rows of at most `len` tokens, in their order: those that follow each other
/// should begin alike.
///
/// # Errors
/// [`TuneError::Parameter`] when an example alone is longer; it says its number, from 0.
pub fn pack(examples: &[Example], len: usize) -> Result<Vec<PackedRow>, TuneError> {
    let mut rows = Vec::new();
    let mut tree = Tree::default();
    for (number, example) in examples.iter().enumerate() {
        if tree.added(example) + tree.row.tokens.len() > len {
            rows.push(std::mem::take(&mut tree).row);
        }
        let alone = tree.added(example);
        if alone > len {
            let reason = format!("example {number} has {alone} tokens; a row has room for {len}");
            return Err(TuneError::parameter("row length", reason));
        }
        tree.add(example);
    }
    rows.push(tree.row);
    rows.retain(|row| !row.targets.is_empty());
    Ok(rows)
}

#[derive(Default)]
struct Tree {
    row: PackedRow,
    /// The token of that id that follows a place.
    children: HashMap<(Option<u32>, TokenId), u32>,
}

/// The tokens that are computed: no answer's last one, which is only predicted.
fn computed(example: &Example) -> impl Iterator<Item = TokenId> + '_ {
    let answer = &example.answer[..example.answer.len().saturating_sub(1)];
    example.prompt.iter().chain(answer).copied()
}

impl Tree {
    /// How many tokens the row would grow by.
    fn added(&self, example: &Example) -> usize {
        let mut at = None;
        let known = computed(example).take_while(|&token| {
            let child = self.children.get(&(at, token)).copied();
            at = child.or(at);
            child.is_some()
        });
        computed(example).count() - known.count()
    }

    fn add(&mut self, example: &Example) {
        let mut at = None;
        for (position, token) in (0..).zip(computed(example)) {
            let next = self.row.tokens.len() as u32;
            let place = *self.children.entry((at, token)).or_insert(next);
            if place == next {
                self.row.tokens.push(token);
                self.row.positions.push(position);
                self.row.parents.push(at);
            }
            if let Some(after) = at.filter(|_| position as usize >= example.prompt.len()) {
                self.row.targets.push(Target { after, token });
            }
            at = Some(place);
        }
        if let (Some(after), Some(&token)) = (at, example.answer.last()) {
            self.row.targets.push(Target { after, token });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(prompt: &[TokenId], answer: &[TokenId]) -> Example {
        Example { prompt: prompt.to_vec(), answer: answer.to_vec() }
    }

    #[test]
    fn common_beginnings_are_there_once() {
        let rows = pack(&[example(&[1, 2, 3], &[7, 9]), example(&[1, 2, 4], &[7, 9])], 100).unwrap();
        let [row] = &rows[..] else { panic!("{rows:?}") };
        assert_eq!(row.tokens, [1, 2, 3, 7, 4, 7]);
        assert_eq!(row.positions, [0, 1, 2, 3, 2, 3]);
        assert_eq!(row.parents, [None, Some(0), Some(1), Some(2), Some(1), Some(4)]);
        let targets: Vec<_> = row.targets.iter().map(|target| (target.after, target.token)).collect();
        assert_eq!(targets, [(2, 7), (3, 9), (4, 7), (5, 9)]);
        let visible: Vec<String> =
            row.visible().chunks(6).map(|row| row.iter().map(|&seen| if seen { '1' } else { '.' }).collect()).collect();
        assert_eq!(visible, ["1.....", "11....", "111...", "1111..", "11..1.", "11..11"]);
    }

    #[test]
    fn a_row_is_as_long_as_it_may_be_and_nothing_is_lost() {
        let examples: Vec<_> = (0..20).map(|n| example(&[1, 2, 100 + n], &[5, 6, 200 + n])).collect();
        let rows = pack(&examples, 11).unwrap();
        assert!(rows.iter().all(|row| row.tokens.len() <= 11));
        assert_eq!(rows.iter().map(|row| row.targets.len()).sum::<usize>(), 60);
        assert_eq!(rows.len(), 7);
        let error = pack(&examples, 4).unwrap_err();
        assert_eq!(error.to_string(), "row length: example 0 has 5 tokens; a row has room for 4");
    }
}
