//! Attention of a layer: which tasks it is, and what becomes of their results.
//!
//! A run of a sequence's new tokens is one task for each key/value head. A single new token of a
//! long sequence is a task for each head and span of positions, whose results are merged: so
//! several threads share it, and it is not the last to end beside shorter sequences.

use std::cmp::Reverse;
use std::ops::Range;

use super::kernels::{BLOCK_LEN, Chunks, Detected, Mark, Precision, SPAN_LEN, Shape, finish, merge};
use super::kv_cache::{Head, KvCache, Output, Rows};
use super::pass::{Buffers, Pass, SequenceRows};
use crate::checkpoint::Architecture;

/// Query rows of a task: enough that keys and values are read seldom, and few enough that a long
/// prompt is work for many threads.
const TASK_ROWS: usize = 64;

/// Some query tokens of a sequence, and one span of positions or all.
struct Task {
    sequence: usize,
    /// First row in the flat batch.
    row: usize,
    past: usize,
    tokens: usize,
    /// Where the span begins, and its number among all that are gathered apart.
    span: Option<(usize, usize)>,
}

impl Task {
    /// Positions that are read.
    fn positions(&self) -> usize {
        match self.span {
            Some((start, _)) => SPAN_LEN.min(self.past + 1 - start),
            None => self.past + self.tokens,
        }
    }
}

/// The tasks of a step, for each key/value head.
struct Tasks {
    /// The longest first, so that what the last thread does at the end is short.
    tasks: Vec<Task>,
    /// For each row of the batch, its spans that are gathered apart; none where one task does all.
    spans: Vec<Range<usize>>,
}

impl Tasks {
    fn new(sequences: &[SequenceRows], group: usize) -> Self {
        let (mut tasks, mut spans, mut count) = (Vec::new(), Vec::new(), 0);
        let at_once = (TASK_ROWS / group).max(1);
        for (sequence, all) in sequences.iter().enumerate() {
            let &SequenceRows { row, past, tokens, .. } = all;
            if tokens == 1 && past >= SPAN_LEN {
                let first = count;
                for start in (0..=past).step_by(SPAN_LEN) {
                    tasks.push(Task { sequence, row, past, tokens, span: Some((start, count)) });
                    count += 1;
                }
                spans.push(first..count);
                continue;
            }
            tasks.extend((0..tokens).step_by(at_once).map(|first| {
                let tokens = at_once.min(tokens - first);
                Task { sequence, row: row + first, past: past + first, tokens, span: None }
            }));
            spans.extend((0..tokens).map(|_| 0..0));
        }
        tasks.sort_by_key(|task| Reverse(task.positions()));
        Self { tasks, spans }
    }

    /// Spans that are gathered apart.
    fn apart(&self) -> usize {
        self.spans.iter().map(ExactSizeIterator::len).sum()
    }
}

/// Attention of all tokens to the keys and values of a layer, and from it the activations of the
/// output projection, whose columns and precision are `input`.
pub(super) fn attend(
    pass: &mut Pass<'_>,
    (layer, cache): (usize, &KvCache),
    buffers: &mut Buffers,
    input: (usize, Precision),
) {
    let Architecture { heads, kv_heads, head_dim: dim, .. } = *pass.architecture;
    let (set, batch_rows, group, sequences) = (pass.elementwise.0, pass.tokens(), heads / kv_heads, pass.sequences);
    let row_len = group * dim;
    let plan = Tasks::new(sequences, group);
    buffers.marks.resize(plan.apart() * kv_heads * group, Mark::NOTHING);
    let queries = &buffers.queries;
    let attended = Chunks::new(buffers.attended.room(kv_heads * batch_rows * row_len), row_len);
    let gathered = Chunks::new(buffers.gathered.room(plan.apart() * kv_heads * row_len), row_len);
    let marks = Chunks::new(&mut buffers.marks, group);
    // All tasks of a head, then those of the next: so neighbours are long and short ones.
    let count = plan.tasks.len();
    pass.team.run(kv_heads * count, &|range| {
        let place = |index: usize| {
            let (head, task) = (index / count, &plan.tasks[index % count]);
            (head, task, &sequences[task.sequence].table[..])
        };
        for index in range.clone() {
            let (head, task, table) = place(index);
            let (next_head, next_task, next_table) = place((index + 1).min(range.end - 1));
            let next_table = &next_table[next_task.span.map_or(0, |(start, _)| start / BLOCK_LEN)..];
            let row = head * batch_rows + task.row;
            let out = match task.span {
                None => Output::Finished(attended.take_run(row, task.tokens)),
                Some((start, number)) => {
                    let place = number * kv_heads + head;
                    Output::Gathered(start, gathered.take(place), marks.take(place))
                }
            };
            let shape = Shape { dim, group, past: task.past, tokens: task.tokens };
            let queries = &queries[row * row_len..][..task.tokens * row_len];
            let heads = [Head { head, table }, Head { head: next_head, table: next_table }];
            cache.attend(layer, heads, set, Rows { shape, queries, out });
        }
    });
    drop((attended, gathered, marks));
    let Buffers { attended, gathered, marks, activations, .. } = buffers;
    pass.fill(activations, input, &|token, mut column, mut values| {
        let spans = &plan.spans[token];
        while !values.is_empty() {
            let (query, at) = (column / dim, column % dim);
            let len = (dim - at).min(values.len());
            let (to, others) = values.split_at_mut(len);
            let (head, query) = (query / group, query % group);
            (column, values) = (column + len, others);
            if spans.is_empty() {
                let row = &attended[(head * batch_rows + token) * row_len..];
                to.copy_from_slice(&row[query * dim + at..][..len]);
                continue;
            }
            let places = spans.clone().map(|number| (number * kv_heads + head) * group + query);
            let parts = places.map(|place| (&gathered[place * dim + at..][..len], marks[place]));
            combine(set, parts, to);
        }
    });
}

/// The result of spans, in their order.
fn combine<'a>(set: Detected, mut spans: impl Iterator<Item = (&'a [f32], Mark)>, to: &mut [f32]) {
    let Some((values, mut mark)) = spans.next() else { return };
    to.copy_from_slice(values);
    for span in spans {
        merge(set, (to, &mut mark), span);
    }
    finish(set, to, mark);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(row: usize, past: usize, tokens: usize) -> SequenceRows {
        SequenceRows { row, tokens, past, wanted: 0, table: Vec::new() }
    }

    #[test]
    fn a_token_of_a_long_sequence_is_several_tasks_and_a_prompt_is_pieces() {
        let sequences = [sequence(0, 2 * SPAN_LEN, 1), sequence(1, SPAN_LEN - 1, 1), sequence(2, 3000, 70)];
        let plan = Tasks::new(&sequences, 2);
        assert_eq!((plan.apart(), plan.spans[0].clone(), plan.spans.len()), (3, 0..3, 72));
        let facts: Vec<_> = plan.tasks.iter().map(|task| (task.row, task.positions(), task.span)).collect();
        let expected = [
            (66, 3070, None),
            (34, 3064, None),
            (2, 3032, None),
            (0, SPAN_LEN, Some((0, 0))),
            (0, SPAN_LEN, Some((SPAN_LEN, 1))),
            (1, SPAN_LEN, None),
            (0, 1, Some((2 * SPAN_LEN, 2))),
        ];
        assert_eq!(facts, expected);
    }
}
