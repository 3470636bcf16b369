-- Version 1. Moments are three columns: boot id, microseconds since that boot, wall milliseconds or NULL.

-- What this file says of itself: which device key it belongs to; that it took a damaged one's place, until the events
-- say so.
CREATE TABLE facts (
    name TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
) STRICT;

-- Who may open this door. Names and contact are sealed.
CREATE TABLE people (
    id INTEGER PRIMARY KEY,
    user_id TEXT NOT NULL UNIQUE,
    may_open INTEGER NOT NULL CHECK (may_open IN (0, 1)),
    contact BLOB NOT NULL,
    consent_granted_ms INTEGER,
    consent_language TEXT,
    consent_policy_url TEXT,
    created_boot_id BLOB NOT NULL,
    created_boot_us INTEGER NOT NULL,
    created_wall_ms INTEGER,
    CHECK ((consent_granted_ms IS NULL) = (consent_language IS NULL)
       AND (consent_granted_ms IS NULL) = (consent_policy_url IS NULL))
) STRICT;

-- Whom a pseudonym of the events means. Erased with the person; the events stay.
CREATE TABLE pseudonyms (
    user_id TEXT PRIMARY KEY NOT NULL,
    pseudonym BLOB NOT NULL UNIQUE CHECK (length(pseudonym) = 16)
) STRICT;

-- Denials that count towards a lock-out. kind: user or reader.
CREATE TABLE denials (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    boot_id BLOB NOT NULL,
    boot_us INTEGER NOT NULL,
    wall_ms INTEGER
) STRICT;
CREATE INDEX denials_of ON denials (kind, name);

CREATE TABLE lockouts (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    lasts_ms INTEGER NOT NULL,
    boot_id BLOB NOT NULL,
    boot_us INTEGER NOT NULL,
    wall_ms INTEGER,
    PRIMARY KEY (kind, name)
) STRICT;

-- How long each boot was seen to last: the device's on-time across boots.
CREATE TABLE boots (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    boot_id BLOB NOT NULL UNIQUE,
    on_us INTEGER NOT NULL
) STRICT;

-- One row is one capture; it outlives its pictures. seq orders across boots. due: not before this moment of that boot.
CREATE TABLE jobs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    attempt BLOB CHECK (attempt IS NULL OR length(attempt) = 16),
    user_id TEXT NOT NULL,
    product TEXT NOT NULL,
    api TEXT NOT NULL CHECK (api IN ('v1', 'v2', 'v3')),
    allow_new_enroll INTEGER NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    reserved INTEGER NOT NULL DEFAULT 0 CHECK (reserved IN (0, 1)),
    remote_id TEXT,
    verdict TEXT,
    code TEXT,
    answer TEXT,
    tries INTEGER NOT NULL DEFAULT 0,
    resubmits INTEGER NOT NULL DEFAULT 0,
    due_boot_id BLOB NOT NULL,
    due_us INTEGER NOT NULL,
    due_asked INTEGER NOT NULL DEFAULT 0 CHECK (due_asked IN (0, 1)),
    bytes INTEGER NOT NULL,
    details BLOB,
    images INTEGER NOT NULL,
    state_boot_id BLOB NOT NULL,
    state_boot_us INTEGER NOT NULL,
    state_wall_ms INTEGER,
    created_boot_id BLOB NOT NULL,
    created_boot_us INTEGER NOT NULL,
    created_wall_ms INTEGER
) STRICT;
-- An index per state that something looks for.
-- Bytes of pictures that are still held: what the queue's limit counts.
CREATE INDEX jobs_held_bytes ON jobs (bytes) WHERE images = 1;
CREATE INDEX jobs_new ON jobs (seq, due_boot_id, due_us) WHERE state = 'new';
CREATE INDEX jobs_accepted ON jobs (seq, due_boot_id, due_us) WHERE state = 'accepted';
CREATE INDEX jobs_unknown ON jobs (seq, api, due_boot_id, due_us) WHERE state = 'unknown_outcome';
CREATE INDEX jobs_sending ON jobs (seq) WHERE state = 'sending';
CREATE INDEX jobs_held ON jobs (seq, reason) WHERE state = 'held';
CREATE INDEX jobs_finished ON jobs (seq) WHERE state IN ('decided', 'expired', 'dropped', 'dead_letter');
CREATE INDEX jobs_dead ON jobs (seq, images) WHERE state = 'dead_letter';

-- The first and the last time of each state.
CREATE TABLE job_times (
    job INTEGER NOT NULL REFERENCES jobs (seq) ON DELETE CASCADE,
    state TEXT NOT NULL,
    reason TEXT,
    boot_id BLOB NOT NULL,
    boot_us INTEGER NOT NULL,
    wall_ms INTEGER
) STRICT;
CREATE INDEX job_times_of ON job_times (job);

-- The random key of each job, wrapped by the device key. Deleting it is the erase.
CREATE TABLE job_keys (
    job INTEGER PRIMARY KEY REFERENCES jobs (seq) ON DELETE CASCADE,
    wrapped BLOB NOT NULL
) STRICT;

CREATE TABLE images (
    id INTEGER PRIMARY KEY,
    job INTEGER NOT NULL REFERENCES jobs (seq) ON DELETE CASCADE,
    kind TEXT NOT NULL CHECK (kind IN ('selfie', 'liveness', 'document_front', 'document_back', 'comparison')),
    number INTEGER NOT NULL,
    part INTEGER NOT NULL,
    sealed BLOB NOT NULL,
    UNIQUE (job, kind, number, part)
) STRICT;

CREATE TABLE queue_flags (
    name TEXT PRIMARY KEY NOT NULL,
    reason TEXT NOT NULL,
    boot_id BLOB NOT NULL,
    boot_us INTEGER NOT NULL,
    wall_ms INTEGER,
    due_boot_id BLOB NOT NULL,
    due_us INTEGER NOT NULL
) STRICT;

-- Append-only, chained by mac. Never a user id or a name.
CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    door TEXT NOT NULL,
    attempt BLOB,
    job BLOB,
    subject BLOB,
    fields TEXT NOT NULL,
    boot_id BLOB NOT NULL,
    boot_ms INTEGER NOT NULL,
    wall_ms INTEGER,
    mac BLOB NOT NULL CHECK (length(mac) = 32)
) STRICT;
CREATE INDEX events_replaced ON events (seq) WHERE kind = 'database_replaced';
CREATE INDEX events_acknowledged ON events (seq) WHERE kind = 'database_acknowledged';
CREATE INDEX events_intent ON events (attempt) WHERE kind = 'unlock_intent';
-- The intents without a result: looking through all events for them would slow each start down.
CREATE TABLE open_intents (
    attempt BLOB PRIMARY KEY NOT NULL,
    event INTEGER NOT NULL REFERENCES events (seq)
) STRICT;
CREATE TRIGGER events_never_change BEFORE UPDATE ON events BEGIN
    SELECT RAISE(ABORT, 'events are append-only');
END;
CREATE TRIGGER events_never_go BEFORE DELETE ON events BEGIN
    SELECT RAISE(ABORT, 'events are append-only');
END;
