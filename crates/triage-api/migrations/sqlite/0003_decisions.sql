-- Who answers, as operators decided last: one row, or none where nobody has.
CREATE TABLE decisions (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    -- The mode that was configured then.
    llm_mode TEXT NOT NULL,
    routing  TEXT NOT NULL CHECK (json_valid(routing))
);
