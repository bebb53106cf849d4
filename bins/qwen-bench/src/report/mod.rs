//! Owns how results are printed: as they come, so that a run that is cut off has shown what it measured.

mod json;
mod markdown;

use std::io::{self, Write};

use crate::cli::Format;
use crate::record::Record;

/// What is being printed.
pub(crate) struct Report<W> {
    format: Format,
    out: W,
    rows: usize,
}

impl<W: Write> Report<W> {
    pub(crate) fn begin(format: Format, mut out: W) -> io::Result<Self> {
        match format {
            Format::Md => markdown::header(&mut out)?,
            Format::Json => json::begin(&mut out)?,
            Format::Jsonl => {}
        }
        Ok(Self { format, out, rows: 0 })
    }

    pub(crate) fn add(&mut self, record: &Record) -> io::Result<()> {
        match self.format {
            Format::Md => markdown::row(&mut self.out, record)?,
            Format::Json => json::element(&mut self.out, self.rows, record)?,
            Format::Jsonl => json::line(&mut self.out, record)?,
        }
        self.rows += 1;
        self.out.flush()
    }

    pub(crate) fn end(mut self) -> io::Result<()> {
        match self.format {
            Format::Md => markdown::footer(&mut self.out)?,
            Format::Json => json::end(&mut self.out)?,
            Format::Jsonl => {}
        }
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use qwen_runtime::{ComputeDevice, KvType};

    use super::*;
    use crate::engine::EngineFacts;
    use crate::model::ModelFacts;
    use crate::plan::Test;
    use crate::record::Samples;

    fn printed(format: Format) -> String {
        let model = ModelFacts {
            filename: "a.gguf".to_owned(),
            kind: "qwen3 0.6B Q4_K - Medium".to_owned(),
            bytes: 390_000_000,
            weights: 596_049_920,
            bytes_per_pass: 390_000_000,
            kv_heads: 448,
            head_dim: 128,
        };
        let facts = EngineFacts {
            name: "cpu",
            devices: ComputeDevice::Cpu.into(),
            kernels: Some("avx2".to_owned()),
            kv_type: KvType::F16,
            kv_name: "f16".to_owned(),
        };
        let prompt = Test { threads: 2, depth: 2048, sequences: 1, prompt: 512, generated: 0, ubatch: 512 };
        let generation = Test { depth: 0, sequences: 4, prompt: 0, generated: 128, ..prompt };
        let times = |seconds: &[u64]| seconds.iter().map(|&seconds| Duration::from_secs(seconds)).collect();
        let mut out = Vec::new();
        let mut report = Report::begin(format, &mut out).unwrap();
        let samples = Samples { times: times(&[1, 2]), ..Samples::default() };
        report.add(&Record::new(&model, &facts, prompt, samples)).unwrap();
        let samples = Samples { times: times(&[4]), bandwidths: vec![4e10, 2e10, 3e10], ..Samples::default() };
        report.add(&Record::new(&model, &facts, generation, samples)).unwrap();
        report.end().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_table_is_llama_benchs_with_more_columns() {
        let text = printed(Format::Md);
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].starts_with("| model                          |       size |     params | backend    | threads |            test |                  t/s |"));
        assert!(lines[1].starts_with("| ------------------------------ | ---------: | ---------: | ---------- | ------: | --------------: | -------------------: |"));
        assert!(lines[2].starts_with("| qwen3 0.6B Q4_K - Medium       | 371.93 MiB |   596.05 M | cpu avx2   |       2 |   pp512 @ d2048 |      384.00 ± 181.02 |          - |"), "{}", lines[2]);
        assert!(lines[3].contains("|       4 x tg128 |        128.00 ± 0.00 |       30.0 |"), "{}", lines[3]);
        let widths: Vec<_> = lines[..4].iter().map(|line| line.chars().count()).collect();
        assert!(widths.iter().all(|width| *width == widths[0]), "{widths:?}");
        assert!(lines[5].starts_with("build: "));
    }

    #[test]
    fn both_kinds_of_json_say_the_same() {
        let array: Vec<serde_json::Value> = serde_json::from_str(&printed(Format::Json)).unwrap();
        let lines = printed(Format::Jsonl);
        let lines: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        for (index, (element, line)) in array.iter().zip(&lines).enumerate() {
            for (name, value) in element.as_object().unwrap() {
                assert!(name == "peak_rss" || line[name] == *value, "{index} {name}");
            }
        }
        let (prompt, generation) = (&array[0], &array[1]);
        assert_eq!((&prompt["n_prompt"], &prompt["n_gen"], &prompt["n_depth"]), (&512.into(), &0.into(), &2048.into()));
        assert_eq!(prompt["samples_ns"], serde_json::json!([1_000_000_000, 2_000_000_000]));
        assert_eq!((&prompt["avg_ns"], &prompt["avg_ts"]), (&1_500_000_000.into(), &384.0.into()));
        assert!(prompt["read_bandwidth"].is_null() && prompt["roofline_share"].is_null());
        let bytes = 390e6 / 4.0 + 64.5 * 57_344.0 * 2.0;
        assert_eq!((&generation["bytes_per_token"], &generation["n_seqs"]), (&bytes.into(), &4.into()));
        assert_eq!(generation["read_bandwidth"], 3e10);
        assert_eq!(generation["roofline_share"], 128.0 * bytes / 3e10);
        assert_eq!((&generation["type_k"], &generation["kernels"]), (&"f16".into(), &"avx2".into()));
    }

    #[test]
    fn no_result_is_an_empty_array() {
        let mut out = Vec::new();
        Report::begin(Format::Json, &mut out).unwrap().end().unwrap();
        assert_eq!(serde_json::from_slice::<Vec<serde_json::Value>>(&out).unwrap().len(), 0);
    }
}
