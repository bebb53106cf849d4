//! What the synthetic patients can have: conditions with the drugs, tests and advice that go with
//! them, and tables of people and places. Constants only.

/// A chronic condition.
#[derive(Clone, Copy)]
pub(super) struct Condition {
    /// ICD-10-CM.
    pub(super) code: &'static str,
    pub(super) display: &'static str,
    /// The least age it is drawn for, in years.
    pub(super) youngest: u32,
    /// Drugs of which one is taken; a former one may be another.
    pub(super) drugs: &'static [Drug],
    pub(super) labs: &'static [Lab],
    /// What was talked about.
    pub(super) advice: &'static str,
}

/// A drug with its usual directions.
#[derive(Clone, Copy)]
pub(super) struct Drug {
    pub(super) code: &'static str,
    pub(super) name: &'static str,
    pub(super) sig: &'static str,
}

/// A laboratory test: values are drawn from `low` to `high` in steps of `1 / 10^decimals`.
#[derive(Clone, Copy)]
pub(super) struct Lab {
    pub(super) name: &'static str,
    pub(super) loinc: &'static str,
    pub(super) low: u32,
    pub(super) high: u32,
    pub(super) decimals: u32,
    pub(super) unit: &'static str,
}

const fn drug(code: &'static str, name: &'static str, sig: &'static str) -> Drug {
    Drug { code, name, sig }
}

const A1C: Lab = Lab { name: "Hemoglobin A1c", loinc: "4548-4", low: 60, high: 92, decimals: 1, unit: "%" };
const LDL: Lab = Lab { name: "LDL cholesterol", loinc: "13457-7", low: 68, high: 168, decimals: 0, unit: "mg/dL" };
const POTASSIUM: Lab = Lab { name: "Potassium", loinc: "2823-3", low: 36, high: 50, decimals: 1, unit: "mmol/L" };
const CREATININE: Lab = Lab { name: "Creatinine", loinc: "2160-0", low: 70, high: 125, decimals: 2, unit: "mg/dL" };
const EGFR: Lab = Lab { name: "eGFR", loinc: "98979-8", low: 46, high: 59, decimals: 0, unit: "mL/min/1.73m2" };
const TSH: Lab = Lab { name: "TSH", loinc: "3016-3", low: 8, high: 62, decimals: 1, unit: "mIU/L" };
const BNP: Lab = Lab { name: "BNP", loinc: "30934-4", low: 90, high: 480, decimals: 0, unit: "pg/mL" };
const HEMOGLOBIN: Lab = Lab { name: "Hemoglobin", loinc: "718-7", low: 98, high: 132, decimals: 1, unit: "g/dL" };
const FERRITIN: Lab = Lab { name: "Ferritin", loinc: "2276-4", low: 6, high: 40, decimals: 0, unit: "ng/mL" };
const URATE: Lab = Lab { name: "Uric acid", loinc: "3084-1", low: 48, high: 92, decimals: 1, unit: "mg/dL" };

pub(super) const CONDITIONS: [Condition; 14] = [
    Condition {
        code: "E11.9",
        display: "Type 2 diabetes mellitus without complications",
        youngest: 35,
        drugs: &[
            drug("861007", "Metformin 500mg", "Take 1 tablet twice daily with meals"),
            drug("310490", "Glipizide 5mg", "Take 1 tablet daily 30 minutes before breakfast"),
            drug("1545658", "Empagliflozin 10mg", "Take 1 tablet every morning"),
        ],
        labs: &[A1C],
        advice: "Reviewed home glucose readings and foot care.",
    },
    Condition {
        code: "I10",
        display: "Essential (primary) hypertension",
        youngest: 30,
        drugs: &[
            drug("314076", "Lisinopril 10mg", "Take 1 tablet daily"),
            drug("197361", "Amlodipine 5mg", "Take 1 tablet daily"),
            drug("979492", "Losartan 50mg", "Take 1 tablet daily"),
        ],
        labs: &[POTASSIUM, CREATININE],
        advice: "Discussed salt intake and home blood pressure log.",
    },
    Condition {
        code: "E78.5",
        display: "Hyperlipidemia, unspecified",
        youngest: 30,
        drugs: &[
            drug("617310", "Atorvastatin 20mg", "Take 1 tablet at bedtime"),
            drug("312961", "Simvastatin 20mg", "Take 1 tablet in the evening"),
        ],
        labs: &[LDL],
        advice: "Discussed diet and muscle symptoms on a statin.",
    },
    Condition {
        code: "J45.909",
        display: "Unspecified asthma, uncomplicated",
        youngest: 18,
        drugs: &[drug("745679", "Albuterol HFA inhaler 90mcg", "Inhale 2 puffs every 4 to 6 hours as needed")],
        labs: &[],
        advice: "Checked inhaler technique and asthma action plan.",
    },
    Condition {
        code: "E03.9",
        display: "Hypothyroidism, unspecified",
        youngest: 25,
        drugs: &[
            drug("966221", "Levothyroxine 50mcg", "Take 1 tablet every morning on an empty stomach"),
            drug("966222", "Levothyroxine 75mcg", "Take 1 tablet every morning on an empty stomach"),
        ],
        labs: &[TSH],
        advice: "Reviewed energy level and timing of thyroid tablet.",
    },
    Condition {
        code: "F41.1",
        display: "Generalized anxiety disorder",
        youngest: 18,
        drugs: &[
            drug("312941", "Sertraline 50mg", "Take 1 tablet every morning"),
            drug("349332", "Escitalopram 10mg", "Take 1 tablet daily"),
        ],
        labs: &[],
        advice: "Discussed sleep, counseling and breathing exercises.",
    },
    Condition {
        code: "K21.9",
        display: "Gastro-esophageal reflux disease without esophagitis",
        youngest: 20,
        drugs: &[
            drug("198051", "Omeprazole 20mg", "Take 1 capsule before breakfast"),
            drug("310273", "Famotidine 20mg", "Take 1 tablet at bedtime"),
        ],
        labs: &[],
        advice: "Discussed meal timing and raising the head of the bed.",
    },
    Condition {
        code: "M17.11",
        display: "Unilateral primary osteoarthritis, right knee",
        youngest: 50,
        drugs: &[drug("198440", "Acetaminophen 500mg", "Take 2 tablets every 8 hours as needed for pain")],
        labs: &[],
        advice: "Discussed knee exercises and physical therapy.",
    },
    Condition {
        code: "I48.91",
        display: "Unspecified atrial fibrillation",
        youngest: 60,
        drugs: &[
            drug("1364445", "Apixaban 5mg", "Take 1 tablet twice daily"),
            drug("855332", "Warfarin 5mg", "Take 1 tablet daily in the evening as directed"),
        ],
        labs: &[CREATININE],
        advice: "Reviewed bleeding precautions and pulse checks.",
    },
    Condition {
        code: "I50.9",
        display: "Heart failure, unspecified",
        youngest: 62,
        drugs: &[drug("313988", "Furosemide 40mg", "Take 1 tablet every morning")],
        labs: &[BNP, POTASSIUM],
        advice: "Reviewed daily weights and fluid intake.",
    },
    Condition {
        code: "N18.31",
        display: "Chronic kidney disease, stage 3a",
        youngest: 58,
        drugs: &[],
        labs: &[EGFR],
        advice: "Advised to avoid NSAIDs and repeat kidney tests.",
    },
    Condition {
        code: "G43.909",
        display: "Migraine, unspecified, not intractable, without status migrainosus",
        youngest: 18,
        drugs: &[drug("199888", "Topiramate 25mg", "Take 1 tablet at bedtime")],
        labs: &[],
        advice: "Reviewed headache diary and triggers.",
    },
    Condition {
        code: "D50.9",
        display: "Iron deficiency anemia, unspecified",
        youngest: 18,
        drugs: &[drug("310325", "Ferrous sulfate 325mg", "Take 1 tablet every other day")],
        labs: &[HEMOGLOBIN, FERRITIN],
        advice: "Discussed iron-rich food and follow-up blood count.",
    },
    Condition {
        code: "M10.9",
        display: "Gout, unspecified",
        youngest: 40,
        drugs: &[drug("197320", "Allopurinol 300mg", "Take 1 tablet daily")],
        labs: &[URATE],
        advice: "Discussed alcohol, fluids and flare plan.",
    },
];

/// Short treatments that are over.
pub(super) const COURSES: [Drug; 4] = [
    drug("308460", "Azithromycin 250mg", "Take 2 tablets on day 1, then 1 tablet daily for 4 days"),
    drug("312615", "Prednisone 20mg", "Take 2 tablets daily for 5 days"),
    drug("197511", "Ciprofloxacin 250mg", "Take 1 tablet twice daily for 3 days"),
    drug("197697", "Fluconazole 150mg", "Take 1 tablet once"),
];

/// Substance, reaction, severity; none of them is among the drugs above.
pub(super) const ALLERGIES: [(&str, &str, &str); 8] = [
    ("Penicillin", "Rash", "mild"),
    ("Sulfonamide antibiotics", "Hives", "moderate"),
    ("Latex", "Contact dermatitis", "mild"),
    ("Peanut", "Anaphylaxis", "severe"),
    ("Shellfish", "Hives", "moderate"),
    ("Codeine", "Nausea", "mild"),
    ("Iodinated contrast", "Hives", "moderate"),
    ("Bee venom", "Swelling", "severe"),
];

pub(super) const FIRST_NAMES: [&str; 20] = [
    "Acorn", "Birch", "Cedar", "Dahlia", "Ember", "Fern", "Garnet", "Hazel", "Indigo", "Juniper", "Kestrel", "Linden",
    "Maple", "Nettle", "Opal", "Poplar", "Quartz", "Rowan", "Sorrel", "Tansy",
];
/// Last names that nobody takes for a person's.
pub(super) const LAST_NAMES: [&str; 12] = [
    "Testpatient",
    "Samplesen",
    "Mockridge",
    "Exampleton",
    "Demofield",
    "Fictiveson",
    "Placeholder",
    "Syntheticus",
    "Dummyworth",
    "Fixtureman",
    "Notreal",
    "Madeupton",
];
/// Street, city, ZIP code.
pub(super) const PLACES: [(&str, &str, &str); 6] = [
    ("Example Rd", "Raleigh", "27603"),
    ("Sample Ave", "Durham", "27701"),
    ("Specimen Ln", "Cary", "27511"),
    ("Placeholder Way", "Greensboro", "27401"),
    ("Fiction Ct", "Wilmington", "28401"),
    ("Demo Blvd", "Asheville", "28801"),
];
/// Provider, clinic.
pub(super) const CLINICS: [(&str, &str); 3] = [
    ("PROV-1001", "Raleigh Primary Care Clinic"),
    ("PROV-1002", "Durham Family Medicine"),
    ("PROV-1003", "Coastal Internal Medicine"),
];
pub(super) const PAYERS: [&str; 3] = ["Acme Health Plan", "Example Mutual", "Sample State Medicaid"];
