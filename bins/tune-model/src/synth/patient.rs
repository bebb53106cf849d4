//! [`Patient`]: a made-up record in the shape that the server reads, and what is in it.

use std::fmt;

use serde_json::{Value, json};
use triage_api::records::{Document, PatientSummary};

use super::draw::Draw;
use super::names;

/// The last year in which anything happens; serving is later.
const LAST_YEAR: u32 = 2025;
const LABS: &[(&str, u32, u32, u32, &str)] = &[
    ("Hemoglobin A1c", 50, 110, 1, "%"),
    ("LDL cholesterol", 60, 190, 0, "mg/dL"),
    ("Potassium", 32, 55, 1, "mmol/L"),
    ("Creatinine", 60, 190, 2, "mg/dL"),
    ("TSH", 5, 80, 1, "mIU/L"),
    ("Hemoglobin", 90, 170, 1, "g/dL"),
    ("Ferritin", 5, 300, 0, "ng/mL"),
    ("Uric acid", 30, 100, 1, "mg/dL"),
    ("Vitamin B12", 150, 900, 0, "pg/mL"),
    ("eGFR", 30, 110, 0, "mL/min"),
];
const NOTES: &[&str] = &[
    "Discussed diet, exercise, and medication adherence.",
    "Reviewed home blood pressure log.",
    "Blood work ordered; follow up in three months.",
    "Checked inhaler technique.",
    "Talked about sleep and stress.",
    "No new concerns today.",
    "Referred to physical therapy.",
];
const TITLES: &[&str] =
    &["Care Plan", "Visit Summary", "Lab Report", "Referral Letter", "Discharge Summary", "Vaccine Record"];

/// What the patient reacts to.
pub(crate) struct Allergy {
    substance: String,
    reaction: Option<&'static str>,
    severity: Option<&'static str>,
}

/// As a prompt shows it.
impl fmt::Display for Allergy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { substance, .. } = self;
        match (self.reaction, self.severity) {
            (Some(reaction), Some(severity)) => write!(f, "{substance} ({reaction}, {severity})"),
            (Some(only), None) | (None, Some(only)) => write!(f, "{substance} ({only})"),
            (None, None) => f.write_str(substance),
        }
    }
}

/// A drug that is taken or was.
pub(crate) struct Medication {
    pub(crate) name: String,
    pub(crate) directions: String,
    /// Year and month, when it has ended.
    pub(crate) ended: Option<String>,
}

/// A visit with its results.
pub(crate) struct Visit {
    pub(crate) date: String,
    pub(crate) kind: &'static str,
    /// Name, and value with unit.
    pub(crate) labs: Vec<(&'static str, String)>,
}

/// What a record says, in the words in which a prompt shows it.
pub(crate) struct Patient {
    /// Sex and year of birth.
    pub(crate) person: String,
    pub(crate) allergies: Vec<Allergy>,
    pub(crate) conditions: Vec<String>,
    pub(crate) medications: Vec<Medication>,
    /// Newest first.
    pub(crate) visits: Vec<Visit>,
    pub(crate) summary: PatientSummary,
}

impl Patient {
    /// Patient `number` of a seed.
    pub(crate) fn draw(draw: &mut Draw) -> Self {
        let allergies = draw_allergies(draw);
        let conditions = draw_conditions(draw);
        let medications = draw_medications(draw);
        let visits = draw_visits(draw);
        let (sex, word) = *draw.pick(&[&("F", "female"), &("M", "male")]);
        let born = draw.between(1935, 2006);
        let patient = json!({
            "sex": sex,
            "dob": format!("{born}-{:02}-{:02}", draw.between(1, 12), draw.between(1, 28)),
            "allergies": allergies.iter().map(|(entry, _)| entry).collect::<Vec<_>>(),
            "conditions": conditions.iter().map(|(entry, _)| entry).collect::<Vec<_>>(),
            "medications": medications.iter().map(|(entry, _)| entry).collect::<Vec<_>>(),
        });
        let count = draw.weighted(&[40, 40, 20]) as u32;
        let titles = draw.several(count, |draw| format!("{} {}", draw.pick(TITLES), draw.between(2020, LAST_YEAR)));
        let summary = PatientSummary {
            patient: object(patient),
            recent_encounters: visits.iter().map(|(entry, _)| object(entry.clone())).collect(),
            recent_claims: Vec::new(),
            documents: titles.into_iter().map(|title| object(json!({"title": title}))).collect(),
            summary_metadata: Document::new(),
        };
        Self {
            person: format!("{word}, born {born}"),
            allergies: allergies.into_iter().map(|(_, allergy)| allergy).collect(),
            conditions: conditions.into_iter().map(|(_, text)| text).collect(),
            medications: medications.into_iter().map(|(_, medication)| medication).collect(),
            visits: visits.into_iter().map(|(_, visit)| visit).collect(),
            summary,
        }
    }

    /// Drugs that are taken now.
    pub(crate) fn current(&self) -> impl Iterator<Item = &Medication> {
        self.medications.iter().filter(|medication| medication.ended.is_none())
    }

    /// Drugs that were taken.
    pub(crate) fn ended(&self) -> impl Iterator<Item = &Medication> {
        self.medications.iter().filter(|medication| medication.ended.is_some())
    }
}

fn object(value: Value) -> Document {
    match value {
        Value::Object(object) => object,
        _ => Document::new(),
    }
}

fn draw_allergies(draw: &mut Draw) -> Vec<(Value, Allergy)> {
    let count = draw.weighted(&[30, 40, 20, 10]) as u32;
    let substances = draw.several(count, names::substance);
    let entry = |substance: String| {
        let (reaction, severity) = names::reaction(draw);
        let (reaction, severity) = match draw.weighted(&[70, 15, 15]) {
            0 => (Some(reaction), Some(severity)),
            1 => (Some(reaction), None),
            _ => (None, None),
        };
        let known = [("reaction", reaction), ("severity", severity)];
        let mut value = json!({"substance": substance});
        for (name, text) in known.into_iter().filter_map(|(name, text)| Some((name, text?))) {
            value[name] = Value::from(text);
        }
        (value, Allergy { substance, reaction, severity })
    };
    substances.into_iter().map(entry).collect()
}

fn draw_conditions(draw: &mut Draw) -> Vec<(Value, String)> {
    let count = draw.weighted(&[10, 30, 30, 20, 10]) as u32;
    let names = draw.several(count, names::condition);
    let entry = |name: String| {
        let year = draw.between(1990, LAST_YEAR);
        if draw.chance(85) {
            let onset = format!("{year}-{:02}-{:02}", draw.between(1, 12), draw.between(1, 28));
            (json!({"display": name, "onset_date": onset}), format!("{name} (since {year})"))
        } else {
            (json!({"display": name}), name)
        }
    };
    names.into_iter().map(entry).collect()
}

fn draw_medications(draw: &mut Draw) -> Vec<(Value, Medication)> {
    let count = draw.weighted(&[10, 25, 25, 20, 12, 8]) as u32;
    let ended = draw.weighted(&[55, 30, 15]) as u32;
    let mut left = count;
    let names = draw.several(count + ended, names::drug);
    let entry = |name: String| {
        let directions = names::directions(draw);
        let start = format!("{}-{:02}-{:02}", draw.between(2010, 2019), draw.between(1, 12), draw.between(1, 28));
        let is_current = left > 0;
        left = left.saturating_sub(1);
        let (year, month) = (draw.between(2020, LAST_YEAR - 1), draw.between(1, 12));
        let end = (!is_current).then(|| format!("{year}-{month:02}-{:02}", draw.between(1, 28)));
        let value = json!({"name": name, "sig": directions, "start_date": start, "end_date": end});
        let ended = end.map(|_| format!("{year}-{month:02}"));
        (value, Medication { name, directions, ended })
    };
    names.into_iter().map(entry).collect()
}

fn draw_visits(draw: &mut Draw) -> Vec<(Value, Visit)> {
    let count = draw.weighted(&[20, 45, 35]) as u32;
    let dates = |draw: &mut Draw| {
        format!("{}-{:02}-{:02}", draw.between(2022, LAST_YEAR), draw.between(1, 12), draw.between(1, 28))
    };
    let mut dates = draw.several(count, dates);
    dates.sort_by(|a, b| b.cmp(a));
    let entry = |date: String| {
        let kind = draw.pick(&["outpatient", "telehealth", "emergency", "annual"]);
        let count = draw.weighted(&[40, 35, 25]) as u32;
        let places = draw.several(count, |draw| draw.between(0, LABS.len() as u32 - 1) as usize);
        let labs: Vec<_> = places
            .into_iter()
            .map(|place| {
                let (name, low, high, decimals, unit) = LABS[place];
                let value = f64::from(draw.between(low, high)) / 10_f64.powi(decimals as i32);
                (name, value, unit)
            })
            .collect();
        let value = json!({
            "type": kind,
            "start": format!("{date}T09:30:00Z"),
            "vitals": {"bp_systolic": draw.between(98, 178), "bp_diastolic": draw.between(58, 104),
                       "heart_rate": draw.between(52, 112), "weight_kg": draw.between(45, 130)},
            "labs": labs.iter().map(|(name, value, unit)| json!({"name": name, "value": value, "unit": unit})).collect::<Vec<_>>(),
            "notes": draw.pick(NOTES),
        });
        let labs = labs.into_iter().map(|(name, value, unit)| (name, format!("{value} {unit}"))).collect();
        (value, Visit { date, kind, labs })
    };
    dates.into_iter().map(entry).collect()
}
