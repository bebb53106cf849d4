//! [`RecordView`]: a patient's record as the short lines that a template shows. It reads what it
//! can and leaves out the rest: records of another service are of many shapes.

use serde::Serialize;
use serde_json::Value;

use super::record_text::RecordText;
use crate::records::{Document, PatientSummary};

/// The most characters of all lines together.
const MAX_CHARS: usize = 2_400;

/// What a template can show. Every list is in a stable order and short.
#[derive(Default, Serialize)]
pub(super) struct RecordView {
    /// Sex and year of birth (an age would change from one day to the next).
    patient: String,
    allergies: Vec<String>,
    conditions: Vec<String>,
    current_medications: Vec<String>,
    ended_medications: Vec<String>,
    /// Newest first.
    encounters: Vec<String>,
    /// Titles.
    documents: Vec<String>,
}

impl RecordView {
    /// The view of a record. A medication has ended when its end is before `today` (`YYYY-MM-DD`).
    pub(super) fn new(summary: &PatientSummary, today: &str) -> Self {
        let reader = Reader { text: RecordText::of_patient(&summary.patient), today };
        let patient = &summary.patient;
        let (ended, current): (Vec<_>, Vec<_>) =
            items(patient, "medications").partition(|item| reader.ended(item).is_some());
        let mut newest: Vec<_> = summary.recent_encounters.iter().collect();
        newest.sort_by(|a, b| b.get("start").and_then(Value::as_str).cmp(&a.get("start").and_then(Value::as_str)));

        // What matters most for safety takes its room first.
        let mut room = Room { left: MAX_CHARS };
        let patient_line = reader.patient(patient);
        room.left -= patient_line.chars().count();
        Self {
            patient: patient_line,
            allergies: room.fit(10, items(patient, "allergies").filter_map(|item| reader.allergy(item))),
            current_medications: room.fit(12, current.into_iter().filter_map(|item| reader.medication(item))),
            conditions: room.fit(10, items(patient, "conditions").filter_map(|item| reader.condition(item))),
            ended_medications: room.fit(5, ended.into_iter().filter_map(|item| reader.medication(item))),
            encounters: room.fit(
                2,
                newest.into_iter().enumerate().filter_map(|(place, item)| reader.encounter(place, item, patient)),
            ),
            documents: room.fit(3, summary.documents.iter().filter_map(|item| reader.text.read(item.get("title"), 80))),
        }
    }

    /// A view that has everything, for trying a template.
    pub(super) fn example() -> Self {
        let line = || vec!["example".to_owned()];
        Self {
            patient: "example".to_owned(),
            allergies: line(),
            conditions: line(),
            current_medications: line(),
            ended_medications: line(),
            encounters: line(),
            documents: line(),
        }
    }
}

/// The characters that are left for lines.
struct Room {
    left: usize,
}

impl Room {
    /// The first `most` lines that there is room for, and a last one that counts what was left
    /// out: a model must not take part of a list for the whole of it.
    fn fit(&mut self, most: usize, lines: impl Iterator<Item = String>) -> Vec<String> {
        let lines: Vec<_> = lines.collect();
        let mut kept = Vec::new();
        for line in lines.iter().take(most) {
            let length = line.chars().count();
            if length > self.left {
                break;
            }
            self.left -= length;
            kept.push(line.clone());
        }
        if kept.len() < lines.len() {
            kept.push(format!("and {} more not shown", lines.len() - kept.len()));
        }
        kept
    }
}

/// Reads one patient's entries. Each returns `None` when there is nothing to show.
struct Reader<'a> {
    text: RecordText,
    today: &'a str,
}

impl Reader<'_> {
    fn patient(&self, patient: &Document) -> String {
        let sex = match patient.get("sex").and_then(Value::as_str) {
            Some("F" | "f") => Some("female".to_owned()),
            Some("M" | "m") => Some("male".to_owned()),
            _ => self.text.read(patient.get("sex").filter(|sex| sex.is_string()), 20),
        };
        let born = date(patient.get("dob")).map(|dob| format!("born {}", &dob[..4]));
        joined([sex, born], ", ").unwrap_or_else(|| "no details recorded".to_owned())
    }

    fn allergy(&self, item: &Value) -> Option<String> {
        let substance = self.name(item, &["substance", "display", "name"], 60)?;
        let details =
            joined([self.text.read(item.get("reaction"), 40), self.text.read(item.get("severity"), 20)], ", ");
        Some(with_details(substance, details))
    }

    fn condition(&self, item: &Value) -> Option<String> {
        let name = self.condition_name(item)?;
        let since = date(item.get("onset_date")).map(|onset| format!("since {}", &onset[..4]));
        Some(with_details(name, since))
    }

    /// What a condition is called, without ICD-10's "unspecified" and what follows it.
    fn condition_name(&self, item: &Value) -> Option<String> {
        let name = self.name(item, &["display", "name", "code"], 80)?;
        Some(name.split_once(", unspecified").map_or(name.as_str(), |(name, _)| name).to_owned())
    }

    /// A medication with its directions, or with its end when it has ended.
    fn medication(&self, item: &Value) -> Option<String> {
        let name = self.name(item, &["name", "display", "drug_code"], 60)?;
        if let Some(end) = self.ended(item) {
            return Some(format!("{name} (ended {})", &end[..end.len().min(7)]));
        }
        let sig = self.text.read(item.get("sig"), 100);
        let until = date(item.get("end_date")).map(|end| format!("until {end}"));
        Some(match joined([sig, until], ", ") {
            Some(directions) => format!("{name}: {directions}"),
            None => name,
        })
    }

    /// The end of a medication that has ended.
    fn ended<'v>(&self, item: &'v Value) -> Option<&'v str> {
        // A date can lack its day or month: both are then compared without it.
        date(item.get("end_date")).filter(|end| self.today.get(..end.len()).is_some_and(|today| *end < today))
    }

    /// The visit at `place`, 0 for the newest: its diagnoses where they are not among the patient's
    /// conditions, its results, and of the newest one what was measured and noted too.
    fn encounter(&self, place: usize, item: &Document, patient: &Document) -> Option<String> {
        let head = joined([date(item.get("start")).map(str::to_owned), self.text.read(item.get("type"), 20)], " ")?;
        let known: Vec<_> = items(patient, "conditions").filter_map(|item| self.condition_name(item)).collect();
        let diagnoses = items(item, "diagnoses").filter_map(|item| self.condition_name(item));
        let mut parts: Vec<_> = diagnoses.filter(|name| !known.contains(name)).take(2).collect();
        parts.extend(item.get("vitals").filter(|_| place == 0).and_then(|vitals| self.vitals(vitals)));
        parts.extend(items(item, "labs").take(4).filter_map(|lab| self.lab(lab)));
        parts.extend(item.get("notes").filter(|_| place == 0).and_then(|notes| self.text.read(Some(notes), 100)));
        Some(if parts.is_empty() { head } else { format!("{head}: {}", parts.join("; ")) })
    }

    fn lab(&self, lab: &Value) -> Option<String> {
        let result = joined([self.text.read(lab.get("value"), 20), self.text.read(lab.get("unit"), 16)], " ")?;
        Some(format!("{} {result}", self.text.read(lab.get("name"), 40)?))
    }

    fn vitals(&self, vitals: &Value) -> Option<String> {
        let read = |field: &str| self.text.read(vitals.get(field), 8);
        let pressure = read("bp_systolic").zip(read("bp_diastolic")).map(|(high, low)| format!("BP {high}/{low}"));
        let pulse = read("heart_rate").map(|rate| format!("HR {rate}"));
        let weight = read("weight_kg").map(|weight| format!("{weight} kg"));
        joined([pressure, pulse, weight], ", ")
    }

    /// What an entry is called: the first field that says it, or the entry itself when it is text.
    fn name(&self, item: &Value, fields: &[&str], max_chars: usize) -> Option<String> {
        let named = fields.iter().find_map(|field| self.text.read(item.get(field), max_chars));
        named.or_else(|| self.text.read(Some(item).filter(|item| item.is_string()), max_chars))
    }
}

/// The entries of a list; none when it is missing or no list.
fn items<'a>(document: &'a Document, field: &str) -> impl Iterator<Item = &'a Value> {
    document.get(field).and_then(Value::as_array).into_iter().flatten()
}

/// The date that a text starts with: `YYYY`, `YYYY-MM` or `YYYY-MM-DD`.
fn date(value: Option<&Value>) -> Option<&str> {
    let text = value?.as_str()?;
    let shape = |length: usize| {
        let start = text.get(..length)?;
        let fits =
            |(place, byte): (usize, u8)| if matches!(place, 4 | 7) { byte == b'-' } else { byte.is_ascii_digit() };
        start.bytes().enumerate().all(fits).then_some(start)
    };
    [10, 7, 4].into_iter().find_map(shape)
}

fn joined(parts: impl IntoIterator<Item = Option<String>>, separator: &str) -> Option<String> {
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(separator))
}

fn with_details(name: String, details: Option<String>) -> String {
    match details {
        Some(details) => format!("{name} ({details})"),
        None => name,
    }
}
