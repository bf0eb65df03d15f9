-- Notices and who still has to get them. A delivered row is deleted; a dead letter stays with its last error.
CREATE TABLE notices (
    id   TEXT PRIMARY KEY NOT NULL,
    at   INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;

CREATE TABLE outbox (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    notice     TEXT NOT NULL REFERENCES notices (id) ON DELETE CASCADE,
    notifier   TEXT NOT NULL,
    dead       INTEGER NOT NULL DEFAULT 0,
    attempts   INTEGER NOT NULL DEFAULT 0,
    first_at   INTEGER NOT NULL,
    next_at    INTEGER NOT NULL DEFAULT 0,
    last_error TEXT,
    UNIQUE (notice, notifier)
) STRICT;
CREATE INDEX outbox_pending ON outbox (notifier, id) WHERE dead = 0;
