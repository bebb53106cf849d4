-- Conversations. `seq` is the order of writing; patients are not referenced, as a client may log a
-- conversation of a patient whose record is kept elsewhere.
CREATE TABLE conversations (
    seq             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id              text NOT NULL UNIQUE,
    conversation_id text NOT NULL UNIQUE,
    patient_mrn     text COLLATE "C" NOT NULL,
    channel         text NOT NULL,
    started_at      text NOT NULL,
    ended_at        text NOT NULL,
    trace_id        text
);
CREATE INDEX conversations_of_patient ON conversations (patient_mrn, seq);

CREATE TABLE messages (
    seq          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    conversation bigint NOT NULL REFERENCES conversations (seq) ON DELETE CASCADE,
    body         text NOT NULL CHECK (body::json IS NOT NULL)
);
CREATE INDEX messages_in_order ON messages (conversation, seq);

CREATE TABLE retrieval_events (
    seq          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    conversation bigint NOT NULL REFERENCES conversations (seq) ON DELETE CASCADE,
    body         text NOT NULL CHECK (body::json IS NOT NULL)
);
CREATE INDEX retrieval_events_in_order ON retrieval_events (conversation, seq);
