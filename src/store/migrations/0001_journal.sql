-- Journal, intents and snapshots. Bodies are JSON of the serde types; columns are what queries need.
CREATE TABLE meta (
    key   TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE intents (
    id         TEXT PRIMARY KEY NOT NULL,
    policy     TEXT NOT NULL,
    decided_at INTEGER NOT NULL,
    outcome    TEXT,
    body       TEXT NOT NULL
) STRICT;
CREATE INDEX intents_open ON intents (decided_at) WHERE outcome IS NULL;

-- Exactly one outcome for each intent: the table refuses a second, different one.
CREATE TRIGGER intents_one_outcome BEFORE UPDATE ON intents
WHEN old.outcome IS NOT NULL AND new.outcome IS NOT old.outcome
BEGIN
    SELECT RAISE(ABORT, 'this intent already has another outcome');
END;

CREATE TABLE transitions (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    at       INTEGER NOT NULL,
    policy   TEXT,
    incident TEXT,
    kind     TEXT NOT NULL,
    body     TEXT NOT NULL
) STRICT;
CREATE INDEX transitions_by_policy ON transitions (policy, id);

CREATE TABLE snapshots (
    policy TEXT PRIMARY KEY NOT NULL,
    at     INTEGER NOT NULL,
    body   TEXT NOT NULL
) STRICT, WITHOUT ROWID;
