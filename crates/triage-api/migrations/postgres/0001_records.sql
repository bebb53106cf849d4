-- Patient records: JSON documents as CarePath serves them, with the columns that are searched or sorted.
-- A body is text, so that it comes back as it went in: jsonb sorts keys, and refuses what JSON allows.
CREATE TABLE patients (
    mrn  text COLLATE "C" PRIMARY KEY,
    body text NOT NULL CHECK (body::json IS NOT NULL)
);

CREATE TABLE encounters (
    encounter_id text COLLATE "C" PRIMARY KEY,
    patient_mrn  text COLLATE "C" NOT NULL REFERENCES patients (mrn) ON DELETE CASCADE,
    started_at   text COLLATE "C" NOT NULL,
    body         text NOT NULL CHECK (body::json IS NOT NULL)
);
CREATE INDEX encounters_newest ON encounters (patient_mrn, started_at);

CREATE TABLE claims (
    claim_id     text COLLATE "C" PRIMARY KEY,
    patient_mrn  text COLLATE "C" NOT NULL REFERENCES patients (mrn) ON DELETE CASCADE,
    service_date text COLLATE "C" NOT NULL,
    body         text NOT NULL CHECK (body::json IS NOT NULL)
);
CREATE INDEX claims_newest ON claims (patient_mrn, service_date);

CREATE TABLE documents (
    doc_id      text COLLATE "C" PRIMARY KEY,
    patient_mrn text COLLATE "C" NOT NULL REFERENCES patients (mrn) ON DELETE CASCADE,
    created_at  text COLLATE "C" NOT NULL,
    body        text NOT NULL CHECK (body::json IS NOT NULL)
);
CREATE INDEX documents_newest ON documents (patient_mrn, created_at);
