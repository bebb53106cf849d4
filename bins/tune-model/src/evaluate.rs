//! Owns `tune-model eval`: questions about patients never seen, and how many answers are right.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::{Context, Result};
use indicatif::ProgressBar;
use qwen_runtime::{
    Adapter, Chat, ChatTemplate, Checkpoint, CpuConfig, CpuEngine, Engine, KnownTokens, LogitsAt, SequenceId,
    SequenceStep, TokenId, Tokenizer,
};

use crate::cli::EvalArguments;
use crate::score::{Score, Verdict};
use crate::synth::{Sample, Synth};

/// Most tokens of an answer.
const MAX_ANSWER: usize = 320;
/// Answers that are made together.
const TOGETHER: usize = 8;

pub(crate) fn run(arguments: &EvalArguments) -> Result<()> {
    let EvalArguments { model, adapter, seed, questions, kinds, strange, show } = arguments;
    let mut checkpoint = Checkpoint::open(model)?;
    if let Some(adapter) = adapter {
        checkpoint = checkpoint.with_adapter(Adapter::open(adapter)?)?;
    }
    let mut writer = AnswerWriter::new(&checkpoint)?;
    let synth = Synth::new(*seed, kinds.clone(), *strange)?;
    let mut samples: Vec<Sample> = Vec::new();
    for patient in 0.. {
        if samples.len() >= *questions {
            break;
        }
        samples.extend(synth.patient(patient)?);
    }
    samples.truncate(*questions);
    let bar = ProgressBar::new(samples.len() as u64);
    let (mut scores, mut shown) = (BTreeMap::<String, Score>::new(), 0);
    for part in samples.chunks(TOGETHER) {
        for (sample, answer) in part.iter().zip(writer.answers(part)?) {
            let verdict = Verdict::new(sample, &answer);
            if shown < *show && !verdict.right {
                shown += 1;
                bar.suspend(|| eprintln!("{}\nshould be {:?}\n", answer.text, sample.expectation));
            }
            scores.entry(sample.expectation.name()).or_default().add(verdict);
            scores.entry("all".to_owned()).or_default().add(verdict);
        }
        bar.inc(part.len() as u64);
    }
    bar.finish_and_clear();
    let mut out = std::io::stdout();
    writeln!(
        out,
        "| question | asked | right | 95 % interval | closed and ended |\n| --- | ---: | ---: | ---: | ---: |"
    )?;
    for (name, score) in scores {
        writeln!(out, "| {name} | {score} |")?;
    }
    Ok(())
}

/// What a model said.
pub(crate) struct Answer {
    /// Everything, thinking included.
    pub(crate) text: String,
    /// What follows the thinking; none where it was not closed.
    pub(crate) reply: Option<String>,
    /// Whether the turn was ended.
    pub(crate) ended: bool,
}

/// A text that goes on.
struct Running {
    /// Whose it is.
    index: usize,
    sequence: SequenceId,
    /// Tokens that the engine has.
    position: usize,
    /// Tokens that it gets next.
    pending: Vec<TokenId>,
}

impl Running {
    fn step(&self) -> SequenceStep<'_> {
        let &Self { sequence, position, .. } = self;
        SequenceStep { sequence, position, tokens: &self.pending, logits: LogitsAt::Last }
    }
}

/// Makes the likeliest answers with the cpu engine.
struct AnswerWriter {
    engine: CpuEngine,
    tokenizer: Tokenizer,
    template: ChatTemplate,
    known: KnownTokens,
    end_of_turn: Option<TokenId>,
    end_of_thinking: Option<TokenId>,
}

impl AnswerWriter {
    fn new(checkpoint: &Checkpoint) -> Result<Self> {
        let config = CpuConfig { max_sequences: TOGETHER, kv_tokens: TOGETHER * 2048, ..CpuConfig::default() };
        let tokenizer = Tokenizer::of_checkpoint(checkpoint)?;
        Ok(Self {
            engine: CpuEngine::load(checkpoint, config, &|_, _| {})?,
            template: ChatTemplate::of_checkpoint(checkpoint)?,
            known: tokenizer.known_tokens(),
            end_of_turn: tokenizer.added_token("<|im_end|>"),
            end_of_thinking: tokenizer.added_token("</think>"),
            tokenizer,
        })
    }

    fn answers(&mut self, samples: &[Sample]) -> Result<Vec<Answer>> {
        let mut texts: Vec<Vec<TokenId>> = vec![Vec::new(); samples.len()];
        let mut running: Vec<Running> = Vec::new();
        for (index, sample) in samples.iter().enumerate() {
            let mut pending = self.template.encode(&question(sample), &self.tokenizer)?;
            let (sequence, position) = self.engine.resume(&pending)?;
            pending.drain(..position);
            running.push(Running { index, sequence, position, pending });
        }
        while !running.is_empty() {
            let batch: Vec<SequenceStep<'_>> = running.iter().map(Running::step).collect();
            let logits = self.engine.step(&batch)?;
            for (place, logits) in (0..running.len()).rev().zip(logits.iter().rev()) {
                let next = logits.last().and_then(|logits| self.known.argmax(logits)).context("logits of no token")?;
                let this = &mut running[place];
                this.position += this.pending.len();
                this.pending = vec![next];
                texts[this.index].push(next);
                if Some(next) == self.end_of_turn || texts[this.index].len() >= MAX_ANSWER {
                    self.engine.free(this.sequence)?;
                    running.remove(place);
                }
            }
        }
        Ok(texts.iter().map(|tokens| self.answer(tokens)).collect())
    }

    fn answer(&self, tokens: &[TokenId]) -> Answer {
        let ended = tokens.last().copied() == self.end_of_turn;
        let said = if ended { &tokens[..tokens.len() - 1] } else { tokens };
        let closed = said.iter().position(|&token| Some(token) == self.end_of_thinking);
        Answer {
            text: self.tokenizer.decode(tokens),
            reply: closed.map(|place| self.tokenizer.decode(&said[place + 1..]).trim().to_owned()),
            ended,
        }
    }
}

/// The turns up to the answer.
fn question(sample: &Sample) -> Chat {
    let turns = sample.conversation.turns();
    turns[..turns.len() - 1]
        .iter()
        .fold(Chat::new(), |chat, turn| chat.with_message(turn.role.as_str(), turn.content.trim()))
}
