//! Owns what can be typed. Must not decide what it means.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::RangedU64ValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use qwen_runtime::{Devices, KernelSet, KvType, WeightForm};

use crate::engine::EngineName;
use crate::shape::{Shape, TypeName};

/// The largest number that is taken.
const MOST: u64 = 1 << 20;

/// llama-bench's names of several letters behind one dash, which would be read as several flags.
const LONG_NAMES: [&str; 5] = ["-pg", "-ub", "-npl", "-ctk", "-ctv"];

/// Measures Qwen3 engines with llama-bench's tests and flags.
///
/// Every combination of the values in the lists is measured: prompts (-p), then generation (-n), then both (-pg), for
/// each number of sequences, each depth and each number of threads.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(after_help = "Exit codes: 0 done; 1 failed; 2 wrong usage.")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    #[command(flatten)]
    pub(crate) bench: BenchArguments,
}

/// What to do, where it is not measuring an engine.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Measures how many bytes a second the memory delivers to threads that only read.
    Bandwidth(BandwidthArguments),
    /// Writes a GGUF file with random weights of a real shape.
    MakeRandom(MakeRandomArguments),
}

/// What is measured, and how.
#[derive(Debug, Args)]
pub(crate) struct BenchArguments {
    /// A GGUF file, or a directory with safetensors.
    #[arg(short, long, value_name = "FILE", required = true)]
    pub(crate) model: Option<PathBuf>,

    /// Lengths of prompts, processed in chunks of the ubatch; 0 measures none.
    #[arg(short = 'p', long, value_name = "N", value_delimiter = ',', default_value = "512", value_parser = from(0))]
    pub(crate) n_prompt: Vec<usize>,

    /// Numbers of tokens that are generated one after another; 0 measures none.
    #[arg(short = 'n', long, value_name = "N", value_delimiter = ',', default_value = "128", value_parser = from(0))]
    pub(crate) n_gen: Vec<usize>,

    /// Prompts with generation behind them, measured together, also as -pg; may be given several times.
    #[arg(long, value_name = "P,N", value_parser = prompt_and_generation)]
    pub(crate) pg: Vec<(usize, usize)>,

    /// Tokens that are in the KV cache before anything is measured.
    #[arg(short = 'd', long, value_name = "N", value_delimiter = ',', default_value = "0", value_parser = from(0))]
    pub(crate) n_depth: Vec<usize>,

    /// Sequences that are processed together, also as -npl; the tokens/s are the sum over them.
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1", value_parser = from(1))]
    pub(crate) npl: Vec<usize>,

    /// Threads that compute [default: one for each processor].
    #[arg(short, long, value_name = "N", value_delimiter = ',', value_parser = from(1))]
    pub(crate) threads: Vec<usize>,

    /// Tokens that are processed in one step, also as -ub.
    #[arg(long = "ubatch-size", alias = "ub", value_name = "N", default_value = "512", value_parser = from(1))]
    pub(crate) ubatch: usize,

    /// How often each test is measured, after one run that is not.
    #[arg(short, long, value_name = "N", default_value = "5", value_parser = from(1))]
    pub(crate) repetitions: usize,

    /// Which engine [default: cpu, and candle on a GPU].
    #[arg(long, value_enum, value_name = "NAME")]
    pub(crate) engine: Option<EngineName>,

    /// Where it computes: `cpu`, `cuda[:N]` or `metal[:N]` (the last two in builds with that feature).
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub(crate) device: Devices,

    /// What the kernels of the cpu engine use: scalar, avx2, avx512 [default: the best that the machine has].
    #[arg(long, value_name = "SET")]
    pub(crate) kernels: Option<KernelSet>,

    /// How keys and values are stored: f16, f32 or q8_0; also as -ctk and -ctv [default: f16, of candle f32].
    #[arg(long, aliases = ["ctk", "ctv"], value_name = "TYPE")]
    pub(crate) kv_type: Vec<KvType>,

    /// What the cpu engine makes of plain weights while it loads them: q4_k_m, q5_k_m, q6_k, q8_0 or none.
    #[arg(long, value_name = "TYPE", default_value = "none")]
    pub(crate) quantize: WeightForm,

    /// How the results are printed.
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t)]
    pub(crate) output: Format,

    /// Say on standard error what is being measured, though it is no terminal.
    #[arg(long)]
    pub(crate) progress: bool,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// A Markdown table.
    #[default]
    Md,
    /// A JSON array.
    Json,
    /// A JSON object to a line, each as soon as it is known.
    Jsonl,
}

/// What measuring the memory needs.
#[derive(Debug, Args)]
pub(crate) struct BandwidthArguments {
    /// Threads that read [default: one for each processor].
    #[arg(short, long, value_name = "N", value_delimiter = ',', value_parser = from(1))]
    pub(crate) threads: Vec<usize>,

    /// How the results are printed.
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t)]
    pub(crate) output: Format,
}

/// What writing a model needs.
#[derive(Debug, Args)]
pub(crate) struct MakeRandomArguments {
    /// Whose shape.
    #[arg(value_enum, value_name = "SHAPE")]
    pub(crate) shape: Shape,

    /// The GGUF file to write.
    #[arg(value_name = "OUT.gguf")]
    pub(crate) out: PathBuf,

    /// What the file is made of.
    #[arg(long = "type", value_enum, value_name = "TYPE", default_value = "q4_k_m")]
    pub(crate) file_type: TypeName,

    /// A directory with tokenizer.json and tokenizer_config.json, which go into the file. Without it the file has no
    /// tokenizer: engines run it, and a server cannot use it.
    #[arg(long, value_name = "DIR")]
    pub(crate) tokenizer: Option<PathBuf>,

    /// Equal seeds make equal files.
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) seed: u64,

    /// Replace the file if it is there.
    #[arg(long)]
    pub(crate) force: bool,
}

/// The arguments with llama-bench's names of several letters behind two dashes.
pub(crate) fn with_long_names(arguments: impl Iterator<Item = OsString>) -> impl Iterator<Item = OsString> {
    arguments.map(|argument| {
        if LONG_NAMES.iter().any(|name| argument == *name) {
            let mut long = OsString::from("-");
            long.push(argument);
            return long;
        }
        argument
    })
}

/// Numbers from `least` on, up to what no model and no machine has, so that sums of them cannot overflow.
fn from(least: u64) -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(least..=MOST)
}

fn prompt_and_generation(text: &str) -> Result<(usize, usize), String> {
    let wrong = || "write the two numbers with a comma between, for example 512,128".to_owned();
    let (prompt, generation) = text.split_once(',').ok_or_else(wrong)?;
    let length = |text: &str| text.parse().ok().filter(|length| (1..=MOST as usize).contains(length));
    length(prompt).zip(length(generation)).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(with_long_names(line.split(' ').map(OsString::from)))
    }

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn lists_and_names_are_those_of_llama_bench() {
        let line = "qwen-bench -m a.gguf -p 512,64 -n 0 -d 0,2048 -t 1,2 -r 3 -pg 8,4 -pg 9,5 -ub 64 -npl 1,4 -ctk f32 -ctv f32";
        let bench = parse(line).unwrap().bench;
        assert_eq!((bench.n_prompt, bench.n_gen, bench.n_depth), (vec![512, 64], vec![0], vec![0, 2048]));
        assert_eq!((bench.threads, bench.repetitions, bench.ubatch), (vec![1, 2], 3, 64));
        assert_eq!((bench.pg, bench.npl), (vec![(8, 4), (9, 5)], vec![1, 4]));
        assert_eq!(bench.kv_type, [KvType::F32, KvType::F32]);
    }

    #[test]
    fn what_cannot_be_measured_is_refused() {
        for line in [
            "qwen-bench",
            "qwen-bench -m a.gguf -r 0",
            "qwen-bench -m a.gguf -t 0",
            "qwen-bench -m a.gguf -ub 0",
            "qwen-bench -m a.gguf --npl 1,0",
            "qwen-bench -m a.gguf -p x",
            "qwen-bench -m a.gguf -d 18446744073709551615",
            "qwen-bench -m a.gguf -d -1",
            "qwen-bench -m a.gguf -pg 5",
            "qwen-bench -m a.gguf -pg 5,0",
            "qwen-bench -m a.gguf -o xml",
            "qwen-bench make-random 70b out.gguf",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
        assert!(parse("qwen-bench bandwidth -t 1,2").is_ok());
        assert!(parse("qwen-bench make-random 4b --type q8_0 out.gguf").is_ok());
    }
}
