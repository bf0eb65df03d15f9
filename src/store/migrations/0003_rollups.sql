-- What the probes of one target added up to in one minute.
CREATE TABLE rollups (
    policy         TEXT NOT NULL,
    target         TEXT NOT NULL,
    minute         INTEGER NOT NULL,
    up             INTEGER NOT NULL,
    down           INTEGER NOT NULL,
    unknown        INTEGER NOT NULL,
    latency_ms_sum INTEGER NOT NULL,
    latency_ms_max INTEGER NOT NULL,
    PRIMARY KEY (policy, target, minute)
) STRICT, WITHOUT ROWID;
CREATE INDEX rollups_by_minute ON rollups (minute);
