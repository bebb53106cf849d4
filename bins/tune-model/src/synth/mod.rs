//! Conversations about patients who do not exist, each with the prompt that the server itself builds.

mod draw;
mod exchange;
mod names;
mod patient;
mod symptoms;

use llm_client::Role;
use qwen_tune::{Conversation, Speaker, Turn};
use triage_api::TriageError;
use triage_api::prompt::PromptTemplate;

pub(crate) use draw::Draw;
pub(crate) use exchange::{Exchange, Expectation};
pub(crate) use patient::Patient;

/// Questions about one patient: together they share the prompt's beginning.
const QUESTIONS: u32 = 7;

/// What is asked about one patient, and what should be answered.
pub(crate) struct Sample {
    pub(crate) conversation: Conversation,
    pub(crate) expectation: Expectation,
}

/// Makes samples.
pub(crate) struct Synth {
    seed: u64,
    template: PromptTemplate,
}

impl Synth {
    pub(crate) fn new(seed: u64) -> Result<Self, TriageError> {
        Ok(Self { seed, template: PromptTemplate::built_in()? })
    }

    /// The samples of patient `number`.
    pub(crate) fn patient(&self, number: u64) -> Result<Vec<Sample>, TriageError> {
        let mut draw = Draw::new(self.seed, number);
        let patient = Patient::draw(&mut draw);
        (0..QUESTIONS).map(|_| self.sample(Exchange::draw(&mut draw, &patient), &patient)).collect()
    }

    fn sample(&self, exchange: Exchange, patient: &Patient) -> Result<Sample, TriageError> {
        let Exchange { question, thought, answer, expectation } = exchange;
        let prompt = self.template.messages(&patient.summary, &[], &question)?;
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
            })
            .collect();
        turns.push(Turn { role: Speaker::Assistant, content: answer, reasoning_content: Some(thought) });
        let conversation =
            Conversation::new(turns).ok_or_else(|| TriageError::Prompt("a made-up answer is empty".to_owned()))?;
        Ok(Sample { conversation, expectation })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::exchange::Kind;
    use super::*;

    fn samples(seed: u64, patients: u64) -> Vec<Sample> {
        let synth = Synth::new(seed).unwrap();
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
                assert_eq!(answer.matches("\n- ").count(), lines.len());
                if *kind == Kind::Medications {
                    assert!(!answer.contains("(ended"), "{answer}");
                }
            }
        }
    }

    #[test]
    fn records_are_varied() {
        let synth = Synth::new(9).unwrap();
        let patients: Vec<_> = (0..400).map(|number| Patient::draw(&mut Draw::new(synth.seed, number))).collect();
        let with_ended = patients.iter().filter(|patient| patient.ended().next().is_some()).count();
        assert!(with_ended * 5 >= patients.len(), "{with_ended} with ended medications");
        let drugs: BTreeSet<_> =
            patients.iter().flat_map(|patient| patient.medications.iter().map(|drug| &drug.name)).collect();
        assert!(drugs.len() > 900, "{} drugs", drugs.len());
    }
}
