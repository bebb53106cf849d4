//! Owns which tests are run, and in which order: llama-bench's.

use std::fmt;
use std::num::NonZeroUsize;

use crate::cli::BenchArguments;
use crate::failure::{Failure, usage};

/// One test: so many sequences of `depth` tokens each, and what is measured behind them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Test {
    pub(crate) threads: usize,
    pub(crate) depth: usize,
    pub(crate) sequences: usize,
    /// Tokens of each sequence's prompt.
    pub(crate) prompt: usize,
    /// Tokens that each sequence generates.
    pub(crate) generated: usize,
    /// Tokens that a step takes of prompts.
    pub(crate) ubatch: usize,
}

impl Test {
    /// Tokens that are measured, of all sequences together.
    pub(crate) fn tokens(self) -> usize {
        self.sequences * (self.prompt + self.generated)
    }

    /// Tokens that a sequence has in the end.
    pub(crate) fn context(self) -> usize {
        self.depth + self.prompt + self.generated
    }

    /// Whether only generation is measured, which the memory's bandwidth limits.
    pub(crate) fn is_generation(self) -> bool {
        self.prompt == 0
    }
}

/// llama-bench's name, with the number of sequences before it where there are several.
impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.sequences > 1 {
            write!(f, "{} x ", self.sequences)?;
        }
        match (self.prompt, self.generated) {
            (prompt, 0) => write!(f, "pp{prompt}")?,
            (0, generated) => write!(f, "tg{generated}")?,
            (prompt, generated) => write!(f, "pp{prompt}+tg{generated}")?,
        }
        if self.depth > 0 { write!(f, " @ d{}", self.depth) } else { Ok(()) }
    }
}

/// All combinations of what was asked for; those of one number of threads stand together.
pub(crate) fn tests(arguments: &BenchArguments) -> Result<Vec<Test>, Failure> {
    let prompts = arguments.n_prompt.iter().map(|&prompt| (prompt, 0));
    let generations = arguments.n_gen.iter().map(|&generated| (0, generated));
    let both = arguments.pg.iter().copied();
    let measured: Vec<_> = prompts.chain(generations).chain(both).filter(|&lengths| lengths != (0, 0)).collect();
    if measured.is_empty() {
        return Err(usage("nothing is to be measured: give -p, -n or -pg a number above 0"));
    }
    let mut tests = Vec::new();
    for threads in threads(&arguments.threads) {
        for &depth in &arguments.n_depth {
            for &sequences in &arguments.npl {
                let test = |&(prompt, generated)| Test {
                    threads,
                    depth,
                    sequences,
                    prompt,
                    generated,
                    ubatch: arguments.ubatch,
                };
                tests.extend(measured.iter().map(test));
            }
        }
    }
    Ok(tests)
}

/// The numbers of threads; without any, one thread for each processor.
pub(crate) fn threads(asked: &[usize]) -> Vec<usize> {
    let processors = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    if asked.is_empty() { vec![processors()] } else { asked.to_vec() }
}

/// Refuses what does not fit the model's context.
pub(crate) fn check_context(tests: &[Test], max_context: usize) -> Result<(), Failure> {
    match tests.iter().find(|test| test.context() > max_context) {
        Some(test) => {
            Err(usage(format!("{test} needs a context of {} tokens, and the model has {max_context}", test.context())))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Arguments;

    fn names(line: &str) -> Vec<String> {
        let arguments = Arguments::parse_from(format!("qwen-bench -m a.gguf {line}").split_whitespace());
        tests(&arguments.bench).unwrap().iter().map(|test| format!("{test} t{}", test.threads)).collect()
    }

    #[test]
    fn combinations_come_in_llama_benchs_order() {
        assert_eq!(
            names("-p 512,64 -n 128 --pg 32,16 -d 0,2048 -t 1,2"),
            [
                "pp512 t1",
                "pp64 t1",
                "tg128 t1",
                "pp32+tg16 t1",
                "pp512 @ d2048 t1",
                "pp64 @ d2048 t1",
                "tg128 @ d2048 t1",
                "pp32+tg16 @ d2048 t1",
                "pp512 t2",
                "pp64 t2",
                "tg128 t2",
                "pp32+tg16 t2",
                "pp512 @ d2048 t2",
                "pp64 @ d2048 t2",
                "tg128 @ d2048 t2",
                "pp32+tg16 @ d2048 t2",
            ]
        );
        assert_eq!(names("-p 0 -n 8 --npl 1,4 -t 2"), ["tg8 t2", "4 x tg8 t2"]);
        assert_eq!(names("-t 3"), ["pp512 t3", "tg128 t3"]);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let arguments = Arguments::parse_from("qwen-bench -m a.gguf -p 0 -n 0".split(' '));
        assert!(tests(&arguments.bench).unwrap_err().is_usage);
        let test = Test { threads: 1, depth: 90, sequences: 4, prompt: 8, generated: 2, ubatch: 512 };
        assert!(check_context(&[test], 100).is_ok());
        let failure = check_context(&[test], 99).unwrap_err();
        assert!(failure.is_usage && failure.error.to_string().contains("needs a context of 100 tokens"));
    }
}
