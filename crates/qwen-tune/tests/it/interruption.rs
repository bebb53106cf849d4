//! Runs that end before they are done.

use std::fs;
use std::path::Path;

use candle_core::{DType, Device};
use qwen_runtime::HeadWeights;
use qwen_tune::{
    Initialization, MuonOptions, PackedRow, Parameters, RunDirectory, StepReport, Trainer, TrainerOptions, TuneError,
    pack,
};

use crate::{examples, options, tiny};

const STEPS: usize = 14;

/// A run that saves every fourth step, and ends without a word after `until` more steps.
fn run(directory: &Path, rows: &[PackedRow], until: usize) -> Result<Vec<StepReport>, TuneError> {
    let parameters = Parameters::random(&tiny(HeadWeights::Tied), Initialization::Normal, 5, DType::F32, &Device::Cpu)?;
    // With both optimizers, so that the state of both is kept.
    let options = TrainerOptions { muon: Some(MuonOptions::default()), ..options(STEPS) };
    let mut trainer = Trainer::new(&parameters, rows, options)?;
    let files = RunDirectory::open(directory, "this run")?;
    if let Some(saved) = files.load(&parameters)? {
        trainer = trainer.resume(saved.steps, &saved.optimizer);
        files.rewind(saved.steps)?;
    } else {
        files.rewind(0)?;
    }
    for _ in 0..until {
        let Some(report) = trainer.step()? else { break };
        files.note(&report)?;
        if (report.step + 1) % 4 == 0 {
            files.save(&parameters, trainer.state())?;
        }
    }
    files.curve()
}

#[test]
fn an_interrupted_run_ends_as_an_uninterrupted_one() {
    let rows = pack(&examples(60), 40).unwrap();
    let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let expected = run(whole.path(), &rows, STEPS).unwrap();
    assert_eq!(expected.len(), STEPS);
    for until in [3, 6, 1, 5] {
        run(parts.path(), &rows, until).unwrap();
    }
    // What a kill can leave behind: a checkpoint that is not whole, a line without its end.
    fs::create_dir(parts.path().join("checkpoint-99.part")).unwrap();
    let curve = parts.path().join("loss.jsonl");
    let text = fs::read_to_string(&curve).unwrap();
    fs::write(&curve, &text[..text.len() - 9]).unwrap();
    assert_eq!(run(parts.path(), &rows, STEPS).unwrap(), expected);
    let names: Vec<_> = fs::read_dir(parts.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 3, "{names:?}");
}

#[test]
fn checkpoints_of_another_run_are_refused() {
    let rows = pack(&examples(60), 40).unwrap();
    let directory = tempfile::tempdir().unwrap();
    run(directory.path(), &rows, 4).unwrap();
    let parameters =
        Parameters::random(&tiny(HeadWeights::Tied), Initialization::Normal, 5, DType::F32, &Device::Cpu).unwrap();
    let other = RunDirectory::open(directory.path(), "another run").unwrap();
    let error = other.load(&parameters).unwrap_err();
    assert!(matches!(error, TuneError::State { .. }), "{error}");
    fs::write(directory.path().join("checkpoint-4/run.json"), "{").unwrap();
    let damaged = RunDirectory::open(directory.path(), "this run").unwrap().load(&parameters).unwrap_err();
    assert!(matches!(damaged, TuneError::State { .. }), "{damaged}");
}

#[test]
fn nothing_to_learn_and_nobody_to_do_it_are_refused() {
    let parameters =
        Parameters::random(&tiny(HeadWeights::Tied), Initialization::Normal, 5, DType::F32, &Device::Cpu).unwrap();
    assert!(matches!(Trainer::new(&parameters, &[], options(9)), Err(TuneError::Parameter { .. })));
    let rows = pack(&examples(3), 40).unwrap();
    let idle = TrainerOptions { threads: 0, ..options(9) };
    assert!(matches!(Trainer::new(&parameters, &rows, idle), Err(TuneError::Parameter { .. })));
}
