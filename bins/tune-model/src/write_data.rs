//! Owns `tune-model synth`.

use std::fs::File;
use std::io::{BufWriter, Write};

use anyhow::{Context, Result};
use indicatif::ProgressBar;

use crate::cli::SynthArguments;
use crate::synth::Synth;

pub(crate) fn run(arguments: &SynthArguments) -> Result<()> {
    let SynthArguments { seed, patients, kinds, strange, out } = arguments;
    let synth = Synth::new(*seed, kinds.clone(), *strange)?;
    let part = out.with_extension("part");
    let shown = || out.display().to_string();
    let mut file = BufWriter::new(File::create(&part).with_context(shown)?);
    let bar = ProgressBar::new(*patients);
    for number in bar.wrap_iter(0..*patients) {
        for sample in synth.patient(number)? {
            serde_json::to_writer(&mut file, &sample.conversation)?;
            file.write_all(b"\n").with_context(shown)?;
        }
    }
    file.into_inner().map_err(|error| error.into_error()).and_then(|file| file.sync_all()).with_context(shown)?;
    std::fs::rename(&part, out).with_context(shown)?;
    Ok(writeln!(std::io::stdout(), "{}", out.display())?)
}
