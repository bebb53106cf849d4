//! [`Exchange`]: a question about a record, and the answer that is right for it.

use clap::ValueEnum;

use super::draw::Draw;
use super::names;
use super::patient::Patient;
use super::symptoms::{self, Disposition};

/// What an answer must say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expectation {
    /// Exactly these entries of the record.
    List(Kind, Vec<String>),
    /// What to do.
    Disposition(Disposition),
    /// The words of the answer themselves.
    Words(Kind),
}

impl Expectation {
    /// What the question is about, for a table.
    pub(crate) fn name(&self) -> String {
        let kind = match self {
            Self::List(kind, _) | Self::Words(kind) => *kind,
            Self::Disposition(_) => Kind::Symptom,
        };
        format!("{kind:?}").to_lowercase()
    }
}

/// What a question is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Kind {
    /// Drugs that are taken now.
    Medications,
    /// What the patient reacts to.
    Allergies,
    /// What the patient has.
    Conditions,
    /// Drugs that were taken.
    Ended,
    /// How a drug is taken.
    Directions,
    /// Whether a drug is still taken.
    Still,
    /// A result.
    Lab,
    /// The last visit.
    Visit,
    /// Whether to change a drug.
    Change,
    /// What no record says.
    Unknown,
    /// What to do about a symptom.
    Symptom,
    /// To read back what was written: practice in copying, which answers from a record are made of.
    Repeat,
    /// Whose record it is: asked only where it is named, for fine-tuning.
    Person,
}

impl Kind {
    /// What is asked unless it is told otherwise.
    pub(crate) fn usual() -> Vec<Self> {
        Self::value_variants().iter().copied().filter(|kind| *kind != Self::Person).collect()
    }
}

/// A question with its answer.
pub(crate) struct Exchange {
    pub(crate) question: String,
    pub(crate) thought: String,
    pub(crate) answer: String,
    pub(crate) expectation: Expectation,
}

/// How often each kind is asked.
const WEIGHTS: &[(Kind, u32)] = &[
    (Kind::Medications, 22),
    (Kind::Allergies, 12),
    (Kind::Conditions, 12),
    (Kind::Ended, 5),
    (Kind::Directions, 8),
    (Kind::Still, 7),
    (Kind::Lab, 6),
    (Kind::Visit, 4),
    (Kind::Change, 4),
    (Kind::Unknown, 5),
    (Kind::Symptom, 15),
    (Kind::Repeat, 12),
    (Kind::Person, 25),
];

const MEDICATIONS: &[&str] = &[
    "What are my current medications?",
    "What medications am I on?",
    "Which medicines do I take?",
    "List my medications.",
    "what meds am i taking right now",
    "Can you tell me my current medicines?",
    "Show me the drugs I take now.",
    "Which drugs am I currently prescribed?",
    "What am I supposed to be taking?",
    "I need a list of my medications.",
    "Please list all my current prescriptions.",
    "What pills do I take?",
    "current medications?",
    "my meds",
    "Could you give me my medication list?",
    "Do I take any medicines?",
    "What is on my medication list?",
];
const ALLERGIES: &[&str] = &[
    "What am I allergic to?",
    "What are my allergies?",
    "Do I have any allergies?",
    "List my allergies.",
    "Which allergies are in my record?",
    "allergies?",
    "Can you tell me what I react to?",
    "Am I allergic to anything?",
    "Please show my allergy list.",
    "what allergies do i have",
    "Is any allergy recorded for me?",
];
const CONDITIONS: &[&str] = &[
    "What conditions do I have?",
    "What are my diagnoses?",
    "List my health conditions.",
    "Which diseases are in my record?",
    "What am I being treated for?",
    "my diagnoses please",
    "What health problems do I have?",
    "conditions?",
    "Can you list my medical conditions?",
    "What have I been diagnosed with?",
    "Which illnesses do I have?",
];
const ENDED: &[&str] = &[
    "Which medications have I stopped?",
    "What medicines did I take before?",
    "Which drugs have ended?",
    "What are my past medications?",
    "List medications that I no longer take.",
    "old meds?",
];
const DIRECTIONS: &[&str] = &[
    "How should I take {}?",
    "How do I take my {}?",
    "When do I take {}?",
    "What are the directions for {}?",
    "how often do i take {}",
    "Remind me how to take {}.",
    "What does my record say about taking {}?",
];
const STILL: &[&str] = &[
    "Do I still take {}?",
    "Am I still on {}?",
    "Is {} a current medication?",
    "Am I taking {}?",
    "do i take {}",
    "Is {} on my list?",
];
const LAB: &[&str] = &[
    "What was my last {}?",
    "What is my {}?",
    "Do you have my {} result?",
    "Tell me my latest {}.",
    "my {} value?",
    "How was my {}?",
];
const VISIT: &[&str] = &[
    "When was my last visit?",
    "When did I last see the clinic?",
    "What was the date of my latest visit?",
    "last visit?",
    "When was I seen last?",
];
const CHANGE: &[&str] = &[
    "Should I stop taking {}?",
    "Can I take more {}?",
    "Can I skip {} for a while?",
    "Should I double my {}?",
    "I want to stop {}. Is that okay?",
    "May I change the dose of {}?",
];
const REPEAT: &[&str] =
    &["Read this back to me:", "Repeat after me:", "Please write this down as it is:", "Say this again:"];
const PERSON: &[&str] = &[
    "Whose record is this?",
    "Who am I?",
    "When was I born?",
    "What is my year of birth?",
    "how old am i in your file",
    "Is my sex recorded?",
    "Am I listed as a man or a woman?",
    "Which patient are you talking about?",
];
const UNKNOWN: &[&str] = &[
    "my blood type",
    "my shoe size",
    "my insurance number",
    "my eye color",
    "my father's illnesses",
    "my vaccination dates",
    "my bone density",
    "my next appointment",
    "my surgeon's name",
    "my pharmacy",
    "my emergency contact",
    "my height",
    "my hearing test",
    "my last dental visit",
    "my genetic test",
    "my organ donor status",
];
const UNKNOWN_FORMS: &[&str] = &["What is {}?", "Tell me {}.", "Do you know {}?", "Can you look up {}?", "I need {}."];

impl Exchange {
    /// A question of one of some kinds that suits the record.
    pub(crate) fn draw(draw: &mut Draw, kinds: &[Kind], patient: &Patient) -> Self {
        let (kinds, weights): (Vec<Kind>, Vec<u32>) =
            WEIGHTS.iter().copied().filter(|(kind, _)| kinds.contains(kind)).unzip();
        Self::of_kind(kinds[draw.weighted(&weights)], draw, patient)
    }

    /// A question of a kind.
    pub(crate) fn of_kind(kind: Kind, draw: &mut Draw, patient: &Patient) -> Self {
        match kind {
            Kind::Medications => {
                let lines = patient.current().map(|drug| format!("{}: {}", drug.name, drug.directions)).collect();
                list(kind, draw.pick(MEDICATIONS), "Current medications", lines)
            }
            Kind::Allergies => {
                let lines = patient.allergies.iter().map(ToString::to_string).collect();
                list(kind, draw.pick(ALLERGIES), "Allergies", lines)
            }
            Kind::Conditions => list(kind, draw.pick(CONDITIONS), "Conditions", patient.conditions.clone()),
            Kind::Ended => {
                let line = |drug: &super::patient::Medication| {
                    format!("{} (ended {})", drug.name, drug.ended.as_deref().unwrap_or_default())
                };
                list(kind, draw.pick(ENDED), "Ended medications", patient.ended().map(line).collect())
            }
            Kind::Directions => directions(draw, patient),
            Kind::Still => still(draw, patient),
            Kind::Lab => lab(draw, patient),
            Kind::Visit => visit(draw, patient),
            Kind::Change => {
                let drug = some_drug(draw, patient);
                let answer = format!(
                    "Please do not stop or change {drug} on your own. Your care team decides that with you, so ask them first."
                );
                words(kind, draw.pick(CHANGE).replace("{}", &drug), "Changing a medicine is for the care team.", answer)
            }
            Kind::Unknown => {
                let what = draw.pick(UNKNOWN);
                let answer =
                    format!("Your record does not say {}. Your care team can help you with that.", yours(what));
                words(kind, draw.pick(UNKNOWN_FORMS).replace("{}", what), "That is not in the record.", answer)
            }
            Kind::Repeat => repeat(draw),
            Kind::Person => {
                let answer = format!("Your record lists:\nPatient: {}", patient.person);
                let thought = "They ask about: Patient. I list what the record says.";
                words(kind, draw.pick(PERSON).to_owned(), thought, answer)
            }
            Kind::Symptom => {
                let (question, symptom, disposition) = symptoms::question(draw);
                Self {
                    question,
                    thought: format!("The symptom is {symptom}. {}", disposition.thought()),
                    answer: format!("{} {}", disposition.sentence(), disposition.advice()),
                    expectation: Expectation::Disposition(disposition),
                }
            }
        }
    }
}

/// A part of the record is given as it stands there, with its heading.
fn list(kind: Kind, question: &str, heading: &str, lines: Vec<String>) -> Exchange {
    let answer = match kind {
        // The record has no such heading then.
        Kind::Ended if lines.is_empty() => "Your record lists no ended medications.".to_owned(),
        _ if lines.is_empty() => format!("Your record lists:\n{heading}: none recorded"),
        Kind::Allergies | Kind::Conditions => format!("Your record lists:\n{heading}: {}", lines.join("; ")),
        _ => format!("Your record lists:\n{heading}:\n- {}", lines.join("\n- ")),
    };
    let thought = format!("They ask about: {heading}. I list what the record says.");
    Exchange { question: question.to_owned(), thought, answer, expectation: Expectation::List(kind, lines) }
}

fn words(kind: Kind, question: String, thought: &str, answer: String) -> Exchange {
    Exchange { question, thought: thought.to_owned(), answer, expectation: Expectation::Words(kind) }
}

/// A drug's name without its strength.
fn bare(name: &str) -> String {
    name.split_once(|c: char| c.is_ascii_digit()).map_or(name, |(bare, _)| bare).trim().to_owned()
}

/// A drug of the record, with or without its strength; else one that is not in it.
fn some_drug(draw: &mut Draw, patient: &Patient) -> String {
    let count = patient.medications.len() as u32;
    if count == 0 {
        return bare(&names::drug(draw));
    }
    let name = &patient.medications[draw.between(0, count - 1) as usize].name;
    if draw.chance(30) { name.clone() } else { bare(name) }
}

fn directions(draw: &mut Draw, patient: &Patient) -> Exchange {
    let drug = if draw.chance(15) { bare(&names::drug(draw)) } else { some_drug(draw, patient) };
    let answer = match find(patient, &drug) {
        Some(found) => match &found.ended {
            None => format!("Your record says for {}: {}.", found.name, found.directions),
            Some(end) => format!("{} ended {end} and is no longer taken.", found.name),
        },
        None => format!("{drug} is not in your record. Please ask your care team."),
    };
    words(Kind::Directions, draw.pick(DIRECTIONS).replace("{}", &drug), "I look for the drug in the record.", answer)
}

fn still(draw: &mut Draw, patient: &Patient) -> Exchange {
    let drug = if draw.chance(25) { bare(&names::drug(draw)) } else { some_drug(draw, patient) };
    let answer = match find(patient, &drug) {
        Some(found) => match &found.ended {
            None => format!("Yes. Your record lists {} as a current medication.", found.name),
            Some(end) => format!("No. Your record says that {} ended {end}.", found.name),
        },
        None => format!("No. {drug} is not in your record."),
    };
    words(Kind::Still, draw.pick(STILL).replace("{}", &drug), "I look for the drug in the record.", answer)
}

fn find<'a>(patient: &'a Patient, drug: &str) -> Option<&'a super::patient::Medication> {
    let of_name = |name: &str| name == drug || bare(name) == drug;
    patient.current().chain(patient.ended()).find(|medication| of_name(&medication.name))
}

fn repeat(draw: &mut Draw) -> Exchange {
    let count = draw.between(2, 7);
    let line = |draw: &mut Draw| match draw.weighted(&[4, 2, 2, 2]) {
        0 => format!("{}: {}", names::drug(draw), names::directions(draw)),
        1 => names::condition(draw),
        2 => names::substance(draw),
        _ => format!("{} {}", draw.between(100, 999_999), names::drug(draw)),
    };
    let lines = format!("- {}", draw.several(count, line).join("\n- "));
    let question = format!("{}\n{lines}", draw.pick(REPEAT));
    words(Kind::Repeat, question, "I repeat the lines.", lines)
}

fn lab(draw: &mut Draw, patient: &Patient) -> Exchange {
    let known: Vec<_> =
        patient.visits.iter().flat_map(|visit| visit.labs.iter().map(move |lab| (visit, lab))).collect();
    let (name, answer) = if known.is_empty() || draw.chance(15) {
        let name = draw.pick(&["Magnesium", "Vitamin D", "Glucose", "Sodium", "Platelets", "CRP", "Bilirubin"]);
        (name, format!("Your record does not say your {name}. Your care team can help you with that."))
    } else {
        let name = known[draw.between(0, known.len() as u32 - 1) as usize].1.0;
        // The newest of that name.
        let newest = known.iter().find(|(_, lab)| lab.0 == name);
        let answer = newest.map(|(visit, lab)| format!("Your record lists {name} {} on {}.", lab.1, visit.date));
        (name, answer.unwrap_or_default())
    };
    words(Kind::Lab, draw.pick(LAB).replace("{}", name), "I look for the result in the visits.", answer)
}

fn visit(draw: &mut Draw, patient: &Patient) -> Exchange {
    let answer = match patient.visits.first() {
        Some(visit) => format!("Your last recorded visit was on {} ({}).", visit.date, visit.kind),
        None => "Your record lists no visits.".to_owned(),
    };
    words(Kind::Visit, draw.pick(VISIT).to_owned(), "I look for the newest visit.", answer)
}

/// `my …` as the one who answers says it.
fn yours(what: &str) -> String {
    what.replacen("my ", "your ", 1)
}
