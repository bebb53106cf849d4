//! One drawn patient: who they are, what they have, take and react to.

use serde_json::{Value, json};

use super::catalog::{ALLERGIES, CLINICS, CONDITIONS, COURSES, Condition, Drug, FIRST_NAMES, LAST_NAMES, PLACES};
use super::draw::Draw;
use super::{SeedPatient, key, object, visits};

/// The year in which the records end: nothing is drawn after its middle.
pub(super) const LAST_YEAR: u32 = 2025;

/// A condition and the year in which it was found.
pub(super) struct Found {
    pub(super) condition: Condition,
    pub(super) year: u32,
}

/// Patient `number`, the same on every call.
pub(super) fn draw_patient(number: u32) -> SeedPatient {
    let mut draw = Draw::for_patient(number);
    let mrn = format!("P{number:06}");
    let born = draw.between(1938, 2004);
    let conditions = draw_conditions(&mut draw, LAST_YEAR - born);
    let (street, city, zip) = draw.pick(&PLACES);
    let (provider, clinic) = draw.pick(&CLINICS);
    let birth_month = draw.between(1, 12);
    let body = object(json!({
        "_id": key(1, number, 0),
        "mrn": mrn,
        "name": {"first": draw.pick(&FIRST_NAMES), "last": draw.pick(&LAST_NAMES)},
        "dob": draw.day_of(born, birth_month),
        "sex": draw.pick(&["F", "M"]),
        "address": {"line1": format!("{} {street}", draw.between(1, 980)), "city": city, "state": "NC", "zip": zip},
        "conditions": conditions.iter().map(|found| condition_entry(&mut draw, found)).collect::<Vec<_>>(),
        "medications": draw_medications(&mut draw, &conditions),
        "allergies": draw_allergies(&mut draw),
        "primary_care_provider_id": provider,
        "risk_score": f64::from(draw.between(5, 95)) / 100.0
    }));
    let setting = visits::Setting { number, mrn, clinic, provider, conditions };
    let visits = visits::draw_visits(&mut draw, &setting);
    SeedPatient {
        mrn: setting.mrn,
        body,
        encounters: visits.encounters,
        claims: visits.claims,
        documents: visits.documents,
    }
}

/// One to four conditions, more with age, each at most once.
fn draw_conditions(draw: &mut Draw, age: u32) -> Vec<Found> {
    let mut possible: Vec<_> = CONDITIONS.into_iter().filter(|condition| condition.youngest <= age).collect();
    let count = 1 + u32::from(age > 40) + u32::from(age > 60) + u32::from(draw.chance(30));
    let mut found = Vec::new();
    for _ in 0..count.min(u32::try_from(possible.len()).unwrap_or(0)) {
        let condition = possible.remove(draw.index(possible.len()));
        let earliest = (LAST_YEAR - age + condition.youngest).clamp(2006, 2021);
        found.push(Found { condition, year: draw.between(earliest, 2021) });
    }
    found.sort_by_key(|found| found.year);
    found
}

fn condition_entry(draw: &mut Draw, found: &Found) -> Value {
    let Condition { code, display, .. } = found.condition;
    let month = draw.between(1, 12);
    json!({"code": code, "system": "ICD-10", "display": display, "onset_date": draw.day_of(found.year, month)})
}

/// For each condition the drug that is taken now, in some cases after another one that ended; in
/// some cases none any more; and short treatments that are over.
fn draw_medications(draw: &mut Draw, conditions: &[Found]) -> Vec<Value> {
    let mut medications = Vec::new();
    for Found { condition, year } in conditions.iter().filter(|found| !found.condition.drugs.is_empty()) {
        let first = draw.index(condition.drugs.len());
        let started = draw.day_of(year + 1, 2);
        let changed = draw.between(year + 2, 2024);
        if condition.drugs.len() > 1 && draw.chance(35) {
            let second = (first + 1) % condition.drugs.len();
            let change = draw.day_of(changed, 8);
            medications.push(medication(condition.drugs[first], &started, Some(&change)));
            medications.push(medication(condition.drugs[second], &change, None));
        } else {
            let stopped = draw.chance(8).then(|| draw.day_of(changed, 10));
            medications.push(medication(condition.drugs[first], &started, stopped.as_deref()));
        }
    }
    if draw.chance(30) {
        let (year, month) = (draw.between(2022, 2024), draw.between(1, 12));
        let start = format!("{year}-{month:02}-{:02}", draw.between(1, 14));
        let end = format!("{year}-{month:02}-{:02}", draw.between(15, 21));
        medications.push(medication(draw.pick(&COURSES), &start, Some(&end)));
    }
    medications
}

fn medication(drug: Drug, start: &str, end: Option<&str>) -> Value {
    json!({"drug_code": drug.code, "name": drug.name, "start_date": start, "end_date": end, "sig": drug.sig})
}

/// None to two different allergies.
fn draw_allergies(draw: &mut Draw) -> Vec<Value> {
    let first = draw.index(ALLERGIES.len());
    let count = u32::from(draw.chance(55)) + u32::from(draw.chance(20));
    (0..count as usize)
        .map(|step| {
            let (substance, reaction, severity) = ALLERGIES[(first + 3 * step) % ALLERGIES.len()];
            json!({"substance": substance, "reaction": reaction, "severity": severity})
        })
        .collect()
}
