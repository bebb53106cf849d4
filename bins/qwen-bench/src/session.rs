//! Owns a run of tests from the command line to the last result.

use std::io::stdout;

use qwen_runtime::{Checkpoint, ComputeDevice};

use crate::bandwidth::child;
use crate::cli::BenchArguments;
use crate::engine::{EngineChoice, Needs};
use crate::failure::{Failure, usage};
use crate::machine;
use crate::measurement::{Runner, Schedule};
use crate::model::ModelFacts;
use crate::plan::{self, Test};
use crate::progress::Progress;
use crate::record::{Record, Samples};
use crate::report::Report;

/// Engines may keep positions in blocks, and begin one for each sequence.
const KV_BLOCK: usize = 64;

/// Runs all tests and prints their results.
pub(crate) fn run(arguments: &BenchArguments) -> Result<(), Failure> {
    let progress = Progress::new(arguments.progress);
    let choice = EngineChoice::new(arguments)?;
    let tests = plan::tests(arguments)?;
    choice.prepare_process(&plan::threads(&arguments.threads))?;
    let path = arguments.model.as_deref().ok_or_else(|| usage("give the model with -m"))?;
    let checkpoint = Checkpoint::open(path)?;
    plan::check_context(&tests, checkpoint.architecture().max_context)?;
    if choice.weights.suited_to(&checkpoint)? != choice.weights {
        return Err(usage("the model is quantized already: leave --quantize out"));
    }
    let model = ModelFacts::new(&checkpoint, choice.weights)?;
    let mut report = Report::begin(arguments.output, stdout().lock())?;
    let mut index = 0;
    for tests_of_threads in tests.chunk_by(|a, b| a.threads == b.threads) {
        progress.say("loading the model");
        let bar = Progress::bar()?;
        let (mut engine, facts) = choice.load(&checkpoint, needs(tests_of_threads), &|done, total| {
            bar.set_length(total as u64);
            bar.set_position(done as u64);
        })?;
        bar.finish_and_clear();
        for &test in tests_of_threads {
            index += 1;
            let say = |what: &str| progress.say(&format!("benchmark {index}/{}: {test}: {what}", tests.len()));
            let mut samples = Samples { test_time: machine::now(), ..Samples::default() };
            let bandwidths = &mut samples.bandwidths;
            let mut probe = || {
                // What the processor's memory delivers says nothing of a GPU.
                if test.is_generation() && facts.devices.first() == ComputeDevice::Cpu {
                    bandwidths.push(child::read_bandwidth(test.threads)?);
                }
                Ok(())
            };
            let schedule = Schedule { repetitions: arguments.repetitions, between: &mut probe, progress: &say };
            samples.times = Runner::new(engine.as_mut()).run(test, schedule)?;
            report.add(&Record::new(&model, &facts, test, samples))?;
        }
    }
    Ok(report.end()?)
}

/// What an engine needs for the largest of the tests.
fn needs(tests: &[Test]) -> Needs {
    let largest = |size: fn(&Test) -> usize| tests.iter().map(size).max().unwrap_or(1);
    Needs {
        threads: largest(|test| test.threads),
        sequences: largest(|test| test.sequences),
        kv_tokens: largest(|test| test.sequences * test.context().next_multiple_of(KV_BLOCK)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_test_fits() {
        let test = Test { threads: 2, depth: 0, sequences: 1, prompt: 512, generated: 0, ubatch: 512 };
        let many = Test { depth: 60, sequences: 8, prompt: 0, generated: 5, ..test };
        let needs = needs(&[test, many]);
        assert_eq!((needs.threads, needs.sequences, needs.kv_tokens), (2, 8, 1024));
    }
}
