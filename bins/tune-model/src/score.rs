//! [`Verdict`] and [`Score`]: which answers are right, and how sure that is.

use std::fmt;

use crate::evaluate::Answer;
use crate::synth::{Expectation, Sample};

/// What is to be said of an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Verdict {
    /// Whether it says what it must.
    pub(crate) right: bool,
    /// Whether its thinking was closed and its turn ended.
    pub(crate) whole: bool,
}

impl Verdict {
    pub(crate) fn new(sample: &Sample, answer: &Answer) -> Self {
        let reply = answer.reply.as_deref().unwrap_or_default();
        let turns = sample.conversation.turns();
        let expected = turns.last().map(|turn| turn.content.as_str()).unwrap_or_default();
        let right = match &sample.expectation {
            Expectation::List(_, lines) if lines.is_empty() => reply == expected,
            Expectation::List(_, lines) => {
                let mut listed = listed(reply);
                let mut lines: Vec<&str> = lines.iter().map(String::as_str).collect();
                listed.sort_unstable();
                lines.sort_unstable();
                listed == lines
            }
            Expectation::Disposition(disposition) => reply.starts_with(disposition.sentence()),
            Expectation::Words(_) => reply == expected,
        };
        Self { right, whole: answer.reply.is_some() && answer.ended }
    }
}

/// The entries of a list, one a line or all in one.
fn listed(reply: &str) -> Vec<&str> {
    match reply.split_once(": ") {
        Some((_, line)) if !reply.contains("\n- ") => line.split("; ").collect(),
        _ => reply.lines().filter_map(|line| line.strip_prefix("- ")).collect(),
    }
}

/// How many of some answers are right.
#[derive(Debug, Default)]
pub(crate) struct Score {
    asked: u32,
    right: u32,
    whole: u32,
}

impl Score {
    pub(crate) fn add(&mut self, verdict: Verdict) {
        self.asked += 1;
        self.right += u32::from(verdict.right);
        self.whole += u32::from(verdict.whole);
    }
}

/// Columns of a table: number, share of right ones, its interval, share of whole ones.
impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = |count: u32| 100.0 * f64::from(count) / f64::from(self.asked.max(1));
        let (low, high) = interval(self.right, self.asked.max(1));
        let (right, whole) = (share(self.right), share(self.whole));
        write!(f, "{} | {right:.1} % | {low:.1}–{high:.1} % | {whole:.1} %", self.asked)
    }
}

/// Wilson's interval of a share, for 95 %, in per cent.
fn interval(hits: u32, of: u32) -> (f64, f64) {
    const Z: f64 = 1.959_964;
    let (n, p) = (f64::from(of), f64::from(hits) / f64::from(of));
    let middle = p + Z * Z / (2.0 * n);
    let spread = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 100.0 / (1.0 + Z * Z / n);
    // Rounding may lead past the ends.
    (((middle - spread) * scale).max(0.0), ((middle + spread) * scale).min(100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_in_both_forms() {
        assert_eq!(listed("These:\n- A 5mg: one; two.\n- B"), ["A 5mg: one; two.", "B"]);
        assert_eq!(listed("These:\nAllergies: Latex (Rash, mild); Milk"), ["Latex (Rash, mild)", "Milk"]);
        assert_eq!(listed("Allergies: Latex"), ["Latex"]);
    }

    #[test]
    fn intervals_are_wilsons() {
        // Newcombe 1998, table I: 81 of 263, and 0 of 20.
        let round = |(low, high): (f64, f64)| ((low * 100.0).round() / 100.0, (high * 100.0).round() / 100.0);
        assert_eq!(round(interval(81, 263)), (25.53, 36.62));
        assert_eq!(round(interval(0, 20)), (0.0, 16.11));
    }
}
