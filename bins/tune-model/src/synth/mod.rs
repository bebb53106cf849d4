//! Conversations about patients who do not exist, each with the prompt that the server itself builds.

mod draw;
mod exchange;
mod names;
mod patient;
mod strange;
mod symptoms;

use llm_client::Role;
use qwen_tune::{Conversation, Speaker, Turn};
use triage_api::TriageError;
use triage_api::conversations::StoredMessage;
use triage_api::prompt::PromptTemplate;

pub(crate) use draw::Draw;
pub(crate) use exchange::{Exchange, Expectation, Kind};
pub(crate) use patient::Patient;

/// Questions about one patient: together they share the prompt's beginning.
const QUESTIONS: u32 = 7;
/// What the server adds to the answers of a model that is made of this data, and shows it in earlier turns.
const NOTICE: &str = "This is a demonstration on synthetic data, not for clinical use.";
/// So many of a hundred questions follow the one before in the same conversation.
const FOLLOWING: u32 = 20;

/// What is asked about one patient, and what should be answered.
pub(crate) struct Sample {
    pub(crate) conversation: Conversation,
    pub(crate) expectation: Expectation,
}

/// Makes samples.
pub(crate) struct Synth {
    seed: u64,
    kinds: Vec<Kind>,
    strange: u32,
    template: PromptTemplate,
}

impl Synth {
    /// Equal seeds make equal samples; they are of these kinds, and so many of a hundred names are strange.
    pub(crate) fn new(seed: u64, kinds: Vec<Kind>, strange: u32) -> Result<Self, TriageError> {
        Ok(Self { seed, kinds, strange, template: PromptTemplate::built_in()? })
    }

    /// The samples of patient `number`.
    pub(crate) fn patient(&self, number: u64) -> Result<Vec<Sample>, TriageError> {
        let mut draw = Draw::new(self.seed, number, self.strange);
        let patient = Patient::draw(&mut draw);
        let mut samples: Vec<Sample> = Vec::new();
        let mut last: Vec<StoredMessage> = Vec::new();
        for _ in 0..QUESTIONS {
            let exchange = Exchange::draw(&mut draw, &self.kinds, &patient);
            // Some questions follow another one.
            let earlier = if draw.chance(FOLLOWING) { std::mem::take(&mut last) } else { Vec::new() };
            last = vec![
                stored("user", &exchange.question),
                stored("assistant", &format!("{}\n\n{NOTICE}", exchange.answer)),
            ];
            samples.push(self.sample(exchange, &earlier, &patient)?);
        }
        Ok(samples)
    }

    fn sample(&self, exchange: Exchange, earlier: &[StoredMessage], patient: &Patient) -> Result<Sample, TriageError> {
        let Exchange { question, thought, answer, expectation } = exchange;
        let prompt = self.template.messages(&patient.summary, earlier, &question)?;
        let mut turns: Vec<Turn> = prompt
            .into_iter()
            .map(|message| Turn {
                role: match message.role {
                    Role::System => Speaker::System,
                    Role::User => Speaker::User,
                    Role::Assistant => Speaker::Assistant,
                },
                content: message.content,
                reasoning_content: None,
                // Answers before the last one are there for what follows.
                weight: (message.role == Role::Assistant).then_some(0),
            })
            .collect();
        let role = Speaker::Assistant;
        turns.push(Turn { role, content: answer, reasoning_content: Some(thought), weight: None });
        let conversation =
            Conversation::new(turns).ok_or_else(|| TriageError::Prompt("a made-up answer is empty".to_owned()))?;
        Ok(Sample { conversation, expectation })
    }
}

fn stored(role: &str, content: &str) -> StoredMessage {
    StoredMessage {
        role: role.to_owned(),
        content: content.to_owned(),
        timestamp: None,
        model_name: None,
        latency_ms: None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn samples(seed: u64, patients: u64) -> Vec<Sample> {
        let synth = Synth::new(seed, Kind::usual(), 0).unwrap();
        (0..patients).flat_map(|number| synth.patient(number).unwrap()).collect()
    }

    fn text(sample: &Sample) -> String {
        serde_json::to_string(&sample.conversation).unwrap()
    }

    #[test]
    fn a_seed_says_everything() {
        let texts = |seed| samples(seed, 20).iter().map(text).collect::<Vec<_>>();
        assert_eq!(texts(1), texts(1));
        assert_ne!(texts(1), texts(2));
    }

    /// What a list names stands in the prompt in the same words, and nothing that has ended is current.
    #[test]
    fn answers_are_in_the_record() {
        for sample in samples(3, 300) {
            let turns = sample.conversation.turns();
            let (prompt, answer) = (&turns[0].content, &turns[turns.len() - 1].content);
            if let Expectation::List(kind, lines) = &sample.expectation {
                assert!(lines.iter().all(|line| prompt.contains(line) && answer.contains(line)), "{prompt}\n{answer}");
                let (one_a_line, in_one) = (answer.matches("\n- ").count(), answer.matches("; ").count() + 1);
                assert!(lines.is_empty() || [one_a_line, in_one].contains(&lines.len()), "{answer}");
                if *kind == Kind::Medications {
                    assert!(!answer.contains("(ended"), "{answer}");
                }
            }
        }
    }

    #[test]
    fn earlier_answers_are_those_of_the_server() {
        assert_eq!(NOTICE, triage_mini::NOTICE);
        let samples = samples(3, 40);
        let earlier = samples.iter().flat_map(|sample| sample.conversation.turns().iter().rev().skip(1));
        let mut answers = earlier.filter(|turn| turn.role == Speaker::Assistant).peekable();
        assert!(answers.peek().is_some() && answers.all(|turn| turn.content.ends_with(NOTICE)));
    }

    #[test]
    fn records_are_varied() {
        let synth = Synth::new(9, Kind::usual(), 0).unwrap();
        let patients: Vec<_> = (0..400).map(|number| Patient::draw(&mut Draw::new(synth.seed, number, 0))).collect();
        let with_ended = patients.iter().filter(|patient| patient.ended().next().is_some()).count();
        assert!(with_ended * 5 >= patients.len(), "{with_ended} with ended medications");
        let drugs: BTreeSet<_> =
            patients.iter().flat_map(|patient| patient.medications.iter().map(|drug| &drug.name)).collect();
        assert!(drugs.len() > 900, "{} drugs", drugs.len());
    }
}
