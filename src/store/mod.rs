//! One thread that owns SQLite: journal, intents, snapshots, outbox, rollups.
