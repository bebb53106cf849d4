-- Who answers, as operators decided last: one row, or none where nobody has.
CREATE TABLE decisions (
    id       integer PRIMARY KEY CHECK (id = 1),
    -- The mode that was configured then.
    llm_mode text NOT NULL,
    routing  text NOT NULL CHECK (routing::json IS NOT NULL)
);
