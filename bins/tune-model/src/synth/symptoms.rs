//! Symptoms, what to do about them, and how that is said.

use super::draw::Draw;

/// What someone with a symptom should do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disposition {
    /// Call 911.
    Emergency,
    /// Call 988.
    Crisis,
    /// Be seen today.
    Urgent,
    /// Make an appointment.
    Routine,
    /// Rest at home.
    SelfCare,
}

impl Disposition {
    /// The first sentence of an answer, by which it is known.
    pub(crate) fn sentence(self) -> &'static str {
        match self {
            Self::Emergency => "Call 911 now.",
            Self::Crisis => "Call 988 or 911 now.",
            Self::Urgent => "Contact your care team today.",
            Self::Routine => "Please book a routine appointment.",
            Self::SelfCare => "You can usually care for this at home.",
        }
    }

    /// What follows it.
    pub(crate) fn advice(self) -> &'static str {
        match self {
            Self::Emergency => "This can be an emergency. Do not wait, and do not drive yourself.",
            Self::Crisis => {
                "You are not alone, and help is there at any hour. If you can, stay with someone you trust."
            }
            Self::Urgent => "This should be checked soon. If it suddenly gets much worse, call 911.",
            Self::Routine => {
                "It does not sound urgent, but your care team should look at it. Call sooner if it gets worse."
            }
            Self::SelfCare => {
                "Rest and drink enough. Contact your care team if it gets worse or lasts more than a few days."
            }
        }
    }

    /// What a model thinks before it says so.
    pub(crate) fn thought(self) -> &'static str {
        match self {
            Self::Emergency => "That is a red flag: an emergency.",
            Self::Crisis => "That is a red flag: a crisis.",
            Self::Urgent => "No red flag, but it should be seen today.",
            Self::Routine => "No red flag, and it can wait for a visit.",
            Self::SelfCare => "No red flag, and it is mild.",
        }
    }
}

const EMERGENCY: &[&str] = &[
    "chest pain",
    "crushing pressure in my chest",
    "chest pain that goes into my left arm",
    "trouble breathing",
    "such shortness of breath that I cannot speak",
    "a drooping face on one side",
    "sudden weakness in one arm",
    "sudden trouble speaking",
    "bleeding that does not stop",
    "vomiting blood",
    "the worst headache of my life",
    "a seizure",
    "swelling of my tongue and throat",
    "fainted and hit my head",
    "sudden loss of vision",
    "blue lips",
    "coughing up a lot of blood",
    "severe burns on my arm",
    "swallowed a poison",
];
const CRISIS: &[&str] = &[
    "thoughts of killing myself",
    "thoughts about suicide",
    "the feeling that I do not want to live any more",
    "a plan to end my life",
    "thoughts of hurting myself",
];
const URGENT: &[&str] = &[
    "a fever of 103 for three days",
    "burning when I urinate and a fever",
    "a cut that is red, warm and full of pus",
    "vomiting that does not stop since yesterday",
    "a swollen and painful calf",
    "a painful red eye",
    "severe ear pain",
    "a rash that spreads quickly",
    "blood in my urine",
    "black stools",
    "a severe sore throat and cannot swallow well",
    "dizziness each time I stand up",
    "a bad toothache with swelling",
    "a blood sugar over 300",
    "a blood pressure of 180 over 110",
    "an infected bite",
];
const ROUTINE: &[&str] = &[
    "knee pain for two months",
    "heartburn several times a week",
    "trouble sleeping for weeks",
    "a mole that has changed",
    "hair loss",
    "numb toes for a few months",
    "a cough for four weeks",
    "less hearing in one ear",
    "snoring every night",
    "joint stiffness every morning",
    "weight loss without trying",
    "constipation for a month",
    "dry eyes for weeks",
    "back pain that comes and goes",
    "feeling tired for months",
    "hot flashes",
    "ringing in my ears for months",
];
const SELF_CARE: &[&str] = &[
    "a runny nose",
    "a mild sore throat since yesterday",
    "a mild headache",
    "a small bruise",
    "sore muscles after exercise",
    "a mosquito bite that itches",
    "chapped lips",
    "a mild sunburn",
    "a stuffy nose",
    "hiccups",
    "a small paper cut",
    "mild stomach upset after a big meal",
    "dry skin",
    "a mild cold",
    "a blister on my heel",
    "sneezing a lot",
];
const FORMS: &[&str] = &[
    "I have {}. What should I do?",
    "I've got {}.",
    "What should I do about {}?",
    "I am having {}. Is that dangerous?",
    "Since this morning I have {}.",
    "Help, I have {}!",
    "Should I see someone for {}?",
    "I woke up with {}.",
    "My question is about {}. What now?",
    "hi, i have {} and i am worried",
    "Do I need a doctor for {}?",
    "Could you tell me what to do with {}?",
    "I have {}, should I worry?",
];

/// A question about a symptom, and what to do.
pub(crate) fn question(draw: &mut Draw) -> (String, &'static str, Disposition) {
    let (from, disposition) = match draw.weighted(&[35, 10, 20, 18, 17]) {
        0 => (EMERGENCY, Disposition::Emergency),
        1 => (CRISIS, Disposition::Crisis),
        2 => (URGENT, Disposition::Urgent),
        3 => (ROUTINE, Disposition::Routine),
        _ => (SELF_CARE, Disposition::SelfCare),
    };
    let symptom = draw.pick(from);
    (draw.pick(FORMS).replace("{}", symptom), symptom, disposition)
}
