//! A drawn patient's encounters, and the claims and documents that come of them.

use serde_json::{Value, json};

use super::catalog::{Lab, PAYERS};
use super::draw::Draw;
use super::patient::{Found, LAST_YEAR};
use super::{SeedEntry, key, object};

/// What all visits of a patient have in common.
pub(super) struct Setting {
    pub(super) number: u32,
    pub(super) mrn: String,
    pub(super) clinic: &'static str,
    pub(super) provider: &'static str,
    pub(super) conditions: Vec<Found>,
}

/// What was drawn.
#[derive(Default)]
pub(super) struct Visits {
    pub(super) encounters: Vec<SeedEntry>,
    pub(super) claims: Vec<SeedEntry>,
    pub(super) documents: Vec<SeedEntry>,
}

/// One visit; `item` is 1 for the newest.
struct Visit<'a> {
    setting: &'a Setting,
    item: u32,
    day: String,
    reason: &'a Found,
    half_kilos: u32,
}

/// One to four visits, newest first and months apart.
pub(super) fn draw_visits(draw: &mut Draw, setting: &Setting) -> Visits {
    let mut visits = Visits::default();
    let mut months_ago = draw.between(0, 4);
    let half_kilos = draw.between(108, 212);
    for item in 1..=draw.between(1, 4) {
        let months = LAST_YEAR * 12 + 5 - months_ago;
        let day = draw.day_of(months / 12, months % 12 + 1);
        let reason = &setting.conditions[draw.index(setting.conditions.len())];
        let visit = Visit { setting, item, day, reason, half_kilos: half_kilos + draw.between(0, 6) };
        visits.encounters.push(visit.encounter(draw));
        if draw.chance(65) {
            visits.claims.push(visit.claim(draw));
        }
        if item == 1 && draw.chance(60) {
            visits.documents.push(visit.care_plan());
        }
        months_ago += draw.between(3, 7);
    }
    visits
}

impl Visit<'_> {
    fn encounter_id(&self) -> String {
        format!("ENC-{}-{:03}{}", self.day, self.setting.number, self.item)
    }

    fn key(&self, kind: u32) -> String {
        key(kind, self.setting.number, self.item)
    }

    fn encounter(&self, draw: &mut Draw) -> SeedEntry {
        let (id, day, condition) = (self.encounter_id(), &self.day, self.reason.condition);
        let hour = draw.between(8, 16);
        let start = format!("{day}T{hour:02}:00:00Z");
        let raised = if self.setting.conditions.iter().any(|found| found.condition.code == "I10") { 14 } else { 0 };
        let labs: Vec<_> = condition.labs.iter().map(|lab| lab_entry(draw, lab, day)).collect();
        let body = object(json!({
            "_id": self.key(2),
            "patient_mrn": self.setting.mrn,
            "encounter_id": id,
            "type": draw.pick(&["outpatient", "outpatient", "outpatient", "telehealth"]),
            "location": self.setting.clinic,
            "start": start,
            "end": format!("{day}T{hour:02}:{}:00Z", draw.between(15, 45)),
            "diagnoses": [{"code": condition.code, "system": "ICD-10", "display": condition.display}],
            "vitals": {
                "bp_systolic": draw.between(108, 134) + raised,
                "bp_diastolic": draw.between(64, 82) + raised / 2,
                "heart_rate": draw.between(58, 94),
                "weight_kg": f64::from(self.half_kilos) / 2.0
            },
            "labs": labs,
            "notes": condition.advice
        }));
        SeedEntry { id, date: start, body }
    }

    fn claim(&self, draw: &mut Draw) -> SeedEntry {
        let id = format!("CLM-{}-{:03}{}", &self.day[..4], self.setting.number, self.item);
        let billed = draw.between(9, 30) * 10;
        let allowed = billed * 2 / 3;
        let body = object(json!({
            "_id": self.key(3),
            "claim_id": id,
            "patient_mrn": self.setting.mrn,
            "payer": draw.pick(&PAYERS),
            "service_date": self.day,
            "cpt_codes": [draw.pick(&["99212", "99213", "99214"])],
            "icd10_codes": [self.reason.condition.code],
            "billed_amount": f64::from(billed),
            "allowed_amount": f64::from(allowed),
            "patient_responsibility": f64::from(allowed / 4),
            "status": draw.pick(&["paid", "paid", "paid", "pending", "denied"])
        }));
        SeedEntry { id, date: self.day.clone(), body }
    }

    fn care_plan(&self) -> SeedEntry {
        let (year, condition) = (&self.day[..4], self.reason.condition);
        let id = format!("DOC-CAREPLAN-{}-{year}", self.setting.mrn);
        let created = format!("{}T17:00:00Z", self.day);
        // "Hyperlipidemia, unspecified" is no title for a patient.
        let subject = condition.display.split(',').next().unwrap_or_default();
        let body = object(json!({
            "_id": self.key(4),
            "doc_id": id,
            "patient_mrn": self.setting.mrn,
            "source_type": "care_plan",
            "title": format!("Care Plan {year}: {subject}"),
            "text": format!("Your care plan for {subject}. {} Call the clinic with questions.", condition.advice),
            "tags": ["care_plan", "education"],
            "metadata": {
                "author_provider_id": self.setting.provider, "created_at": created, "encounter_id": self.encounter_id()
            }
        }));
        SeedEntry { id, date: created, body }
    }
}

fn lab_entry(draw: &mut Draw, lab: &Lab, day: &str) -> Value {
    let value = f64::from(draw.between(lab.low, lab.high)) / f64::from(10_u32.pow(lab.decimals));
    json!({
        "name": lab.name, "loinc": lab.loinc, "value": value, "unit": lab.unit,
        "collected_at": format!("{day}T07:30:00Z")
    })
}
