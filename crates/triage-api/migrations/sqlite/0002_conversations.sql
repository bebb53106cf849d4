-- Conversations. `seq` is the order of writing; patients are not referenced, as a client may log a
-- conversation of a patient whose record is kept elsewhere.
CREATE TABLE conversations (
    seq             INTEGER PRIMARY KEY AUTOINCREMENT,
    id              TEXT NOT NULL UNIQUE,
    conversation_id TEXT NOT NULL UNIQUE,
    patient_mrn     TEXT NOT NULL,
    channel         TEXT NOT NULL,
    started_at      TEXT NOT NULL,
    ended_at        TEXT NOT NULL,
    trace_id        TEXT
) STRICT;
CREATE INDEX conversations_of_patient ON conversations (patient_mrn, seq);

CREATE TABLE messages (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation INTEGER NOT NULL REFERENCES conversations (seq) ON DELETE CASCADE,
    body         TEXT NOT NULL CHECK (json_valid(body))
) STRICT;
CREATE INDEX messages_in_order ON messages (conversation, seq);

CREATE TABLE retrieval_events (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation INTEGER NOT NULL REFERENCES conversations (seq) ON DELETE CASCADE,
    body         TEXT NOT NULL CHECK (json_valid(body))
) STRICT;
CREATE INDEX retrieval_events_in_order ON retrieval_events (conversation, seq);
