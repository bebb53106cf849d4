-- Patient records: JSON documents as CarePath serves them, with the columns that are searched or sorted.
CREATE TABLE patients (
    mrn  TEXT PRIMARY KEY NOT NULL,
    body TEXT NOT NULL CHECK (json_valid(body))
) STRICT;

CREATE TABLE encounters (
    encounter_id TEXT PRIMARY KEY NOT NULL,
    patient_mrn  TEXT NOT NULL REFERENCES patients (mrn) ON DELETE CASCADE,
    started_at   TEXT NOT NULL,
    body         TEXT NOT NULL CHECK (json_valid(body))
) STRICT;
CREATE INDEX encounters_newest ON encounters (patient_mrn, started_at);

CREATE TABLE claims (
    claim_id     TEXT PRIMARY KEY NOT NULL,
    patient_mrn  TEXT NOT NULL REFERENCES patients (mrn) ON DELETE CASCADE,
    service_date TEXT NOT NULL,
    body         TEXT NOT NULL CHECK (json_valid(body))
) STRICT;
CREATE INDEX claims_newest ON claims (patient_mrn, service_date);

CREATE TABLE documents (
    doc_id      TEXT PRIMARY KEY NOT NULL,
    patient_mrn TEXT NOT NULL REFERENCES patients (mrn) ON DELETE CASCADE,
    created_at  TEXT NOT NULL,
    body        TEXT NOT NULL CHECK (json_valid(body))
) STRICT;
CREATE INDEX documents_newest ON documents (patient_mrn, created_at);
