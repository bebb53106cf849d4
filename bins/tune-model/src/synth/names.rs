//! Names of drugs, conditions and substances: real ones, and far more that are made up, so that a
//! model must copy from the record instead of knowing them by heart.

use super::draw::Draw;
use super::strange::words;

const DRUGS: &[&str] = &[
    "Metformin",
    "Glipizide",
    "Empagliflozin",
    "Lisinopril",
    "Amlodipine",
    "Losartan",
    "Atorvastatin",
    "Simvastatin",
    "Rosuvastatin",
    "Albuterol",
    "Fluticasone",
    "Montelukast",
    "Levothyroxine",
    "Sertraline",
    "Escitalopram",
    "Fluoxetine",
    "Bupropion",
    "Omeprazole",
    "Pantoprazole",
    "Famotidine",
    "Acetaminophen",
    "Ibuprofen",
    "Naproxen",
    "Meloxicam",
    "Apixaban",
    "Warfarin",
    "Metoprolol",
    "Carvedilol",
    "Furosemide",
    "Spironolactone",
    "Hydrochlorothiazide",
    "Valsartan",
    "Allopurinol",
    "Colchicine",
    "Prednisone",
    "Methotrexate",
    "Gabapentin",
    "Pregabalin",
    "Duloxetine",
    "Trazodone",
    "Sumatriptan",
    "Topiramate",
    "Lamotrigine",
    "Levetiracetam",
    "Amoxicillin",
    "Azithromycin",
    "Doxycycline",
    "Cephalexin",
    "Nitrofurantoin",
    "Ciprofloxacin",
    "Clopidogrel",
    "Aspirin",
    "Tamsulosin",
    "Finasteride",
    "Alendronate",
    "Insulin glargine",
    "Semaglutide",
    "Sitagliptin",
    "Pioglitazone",
    "Cetirizine",
    "Loratadine",
    "Tiotropium",
    "Budesonide",
    "Estradiol",
    "Folic acid",
    "Ferrous sulfate",
    "Vitamin D3",
    "Potassium chloride",
    "Digoxin",
    "Diltiazem",
    "Hydroxychloroquine",
    "Mirtazapine",
    "Venlafaxine",
    "Quetiapine",
];
const HEADS: &[&str] = &[
    "Zor", "Vel", "Tam", "Quin", "Bri", "Lox", "Nar", "Fex", "Dol", "Cai", "Mer", "Pra", "Xan", "Oli", "Ryb", "Sov",
    "Tel", "Ura", "Val", "Wen", "Yos", "Kel", "Jar", "Hep", "Gav", "Fen", "Ela", "Dar", "Cor", "Bel", "Ast", "Imb",
    "Plu", "Stro", "Cle", "Gri", "Nup", "Obi", "Riv", "Sul", "Tro", "Vib", "Zan", "Lum", "Hydra", "Kyn", "Mox", "Pel",
];
const MIDDLES: &[&str] = &[
    "vi", "ta", "lo", "ne", "ri", "xa", "do", "mi", "pe", "su", "fa", "gli", "tro", "cla", "bri", "ze", "ko", "lu", "",
    "ra", "ve", "no", "ti", "qua",
];
const TAILS: &[&str] = &[
    "mab", "tinib", "pril", "sartan", "statin", "olol", "azole", "idone", "amine", "gliptin", "flozin", "cillin",
    "mycin", "oxin", "zepam", "one", "ide", "ate", "um", "ix", "ra", "vir", "parin", "triptan", "dex", "fen", "lin",
    "tide", "pram", "cept",
];
const DOSES: &[&str] = &[
    "1", "2", "2.5", "4", "5", "7.5", "8", "10", "12.5", "15", "20", "25", "30", "35", "37.5", "40", "45", "50", "60",
    "70", "75", "80", "90", "100", "112", "120", "125", "135", "150", "160", "175", "180", "200", "220", "240", "250",
    "300", "325", "350", "400", "450", "500", "600", "650", "750", "800", "850", "875", "1000",
];
const UNITS: &[&str] = &["mg", "mg", "mg", "mg", "mg", "mcg", " mg", " units", "mg ER"];
const FORMS: &[&str] = &["tablet", "tablet", "tablet", "capsule", "puff", "drop", "patch", "spray", "injection"];
const HOW_OFTEN: &[&str] = &[
    "daily",
    "once daily",
    "twice daily",
    "three times daily",
    "every morning",
    "every evening",
    "at bedtime",
    "every 6 hours",
    "every 8 hours",
    "every 12 hours",
    "every other day",
    "once weekly",
    "every Monday",
];
const WHEN: &[&str] = &[
    "",
    "",
    "",
    " with meals",
    " with food",
    " before breakfast",
    " on an empty stomach",
    " as needed for pain",
    " as needed",
    " with a full glass of water",
    " for 7 days",
    " after dinner",
    " as needed for itching",
];
const CONDITIONS: &[&str] = &[
    "Type 2 diabetes mellitus",
    "Type 1 diabetes mellitus",
    "Essential (primary) hypertension",
    "Hyperlipidemia",
    "Asthma",
    "Hypothyroidism",
    "Generalized anxiety disorder",
    "Major depressive disorder",
    "Migraine",
    "Gastro-esophageal reflux disease",
    "Atrial fibrillation",
    "Heart failure",
    "Chronic kidney disease, stage 3",
    "Chronic obstructive pulmonary disease",
    "Iron deficiency anemia",
    "Gout",
    "Osteoporosis",
    "Psoriasis",
    "Rheumatoid arthritis",
    "Obstructive sleep apnea",
    "Irritable bowel syndrome",
    "Allergic rhinitis",
    "Epilepsy",
    "Benign prostatic hyperplasia",
    "Coronary artery disease",
    "Peripheral neuropathy",
    "Ulcerative colitis",
    "Celiac disease",
    "Restless legs syndrome",
    "Glaucoma",
    "Cataract",
    "Fibromyalgia",
    "Vitamin D deficiency",
    "Polycystic ovary syndrome",
    "Endometriosis",
    "Hepatitis B carrier",
    "Sickle cell trait",
    "Eczema",
    "Rosacea",
    "Attention deficit disorder",
    "Hearing loss",
    "Chronic sinusitis",
    "Diverticulosis",
    "Kidney stones",
    "Lupus",
];
const PLACES: &[&str] = &[
    "right knee",
    "left knee",
    "right hip",
    "left hip",
    "lower back",
    "neck",
    "right shoulder",
    "left shoulder",
    "hands",
    "left ankle",
    "right elbow",
    "spine",
];
const TROUBLES: &[&str] = &["Osteoarthritis", "Chronic pain", "Tendinitis", "Bursitis", "Old fracture", "Stiffness"];
const RARE: &[&str] = &["syndrome", "disease", "anemia", "dermatitis", "neuralgia", "myopathy", "fever", "colitis"];
const SUBSTANCES: &[&str] = &[
    "Penicillin",
    "Sulfa drugs",
    "Latex",
    "Peanuts",
    "Tree nuts",
    "Shellfish",
    "Eggs",
    "Milk",
    "Soy",
    "Wheat",
    "Sesame",
    "Bee venom",
    "Pollen",
    "Dust mites",
    "Cat dander",
    "Codeine",
    "Morphine",
    "Iodine contrast",
    "Adhesive tape",
    "Strawberries",
    "Kiwi",
    "Nickel",
    "Aspirin",
    "Ibuprofen",
    "Amoxicillin",
    "Cephalosporins",
    "Erythromycin",
    "Lidocaine",
];
const REACTIONS: &[&str] =
    &["Rash", "Hives", "Swelling", "Anaphylaxis", "Nausea", "Wheezing", "Itching", "Vomiting", "Dizziness", "Cough"];
const SEVERITIES: &[&str] = &["mild", "moderate", "severe"];

/// A made-up name.
pub(crate) fn made_up(draw: &mut Draw) -> String {
    let middle = if draw.chance(25) { draw.pick(MIDDLES) } else { "" };
    format!("{}{}{middle}{}", draw.pick(HEADS), draw.pick(MIDDLES), draw.pick(TAILS))
}

/// A drug with its strength.
pub(crate) fn drug(draw: &mut Draw) -> String {
    if draw.is_strange() {
        return format!("{} {}{}", words(draw, 3), draw.pick(DOSES), draw.pick(UNITS));
    }
    let name = if draw.chance(35) { draw.pick(DRUGS).to_owned() } else { made_up(draw) };
    format!("{name} {}{}", draw.pick(DOSES), draw.pick(UNITS))
}

/// Directions for a drug.
pub(crate) fn directions(draw: &mut Draw) -> String {
    let (count, form) = (draw.weighted(&[70, 25, 5]) + 1, draw.pick(FORMS));
    let (verb, plural) = match form {
        "puff" => ("Inhale", "puffs"),
        "drop" => ("Use", "drops"),
        "patch" => ("Apply", "patches"),
        "spray" => ("Use", "sprays"),
        "injection" => ("Give", "injections"),
        "capsule" => ("Take", "capsules"),
        _ => ("Take", "tablets"),
    };
    let form = if count == 1 { form } else { plural };
    if draw.is_strange() {
        return format!("{verb} {count} {form} {} {}", draw.pick(HOW_OFTEN), words(draw, 4).to_lowercase());
    }
    format!("{verb} {count} {form} {}{}", draw.pick(HOW_OFTEN), draw.pick(WHEN))
}

/// What a patient can have.
pub(crate) fn condition(draw: &mut Draw) -> String {
    if draw.is_strange() {
        return words(draw, 5);
    }
    match draw.weighted(&[45, 20, 35]) {
        0 => draw.pick(CONDITIONS).to_owned(),
        1 => format!("{} of the {}", draw.pick(TROUBLES), draw.pick(PLACES)),
        _ => format!("{}{} {}", draw.pick(HEADS), draw.pick(TAILS), draw.pick(RARE)),
    }
}

/// What a patient can react to.
pub(crate) fn substance(draw: &mut Draw) -> String {
    if draw.is_strange() {
        return words(draw, 2);
    }
    if draw.chance(60) { draw.pick(SUBSTANCES).to_owned() } else { made_up(draw) }
}

/// A reaction and how bad it was.
pub(crate) fn reaction(draw: &mut Draw) -> (&'static str, &'static str) {
    (draw.pick(REACTIONS), draw.pick(SEVERITIES))
}
