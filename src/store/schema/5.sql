-- Version 5: a capture and each step of a job write fewer pages and build no temporary tables. A list of three or more words
-- after IN is a table to SQLite, built anew whenever a row is checked against it: here they are comparisons.

CREATE TABLE pictures (
    -- The job's seq, then which of the job's parts it is in the order of pictures and parts: they lie together, and nothing
    -- else is needed to find them.
    id INTEGER PRIMARY KEY,
    job INTEGER NOT NULL GENERATED ALWAYS AS (id >> 16) VIRTUAL,
    kind TEXT NOT NULL,
    number INTEGER NOT NULL,
    sealed BLOB NOT NULL
) STRICT;
INSERT INTO pictures (id, kind, number, sealed)
    SELECT (job << 16) + row_number() OVER (PARTITION BY job ORDER BY kind, number, part) - 1, kind, number, sealed FROM images;
DROP TABLE images;
ALTER TABLE pictures RENAME TO images;

-- seq orders across boots. due: not before this moment of that boot.
CREATE TABLE captures (
    seq INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    attempt BLOB CHECK (attempt IS NULL OR length(attempt) = 16),
    user_id TEXT NOT NULL,
    product TEXT NOT NULL,
    api TEXT NOT NULL CHECK (api = 'v1' OR api = 'v2' OR api = 'v3'),
    allow_new_enroll INTEGER NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    reserved INTEGER NOT NULL DEFAULT 0 CHECK (reserved BETWEEN 0 AND 1),
    remote_id TEXT,
    verdict TEXT,
    code TEXT,
    answer TEXT,
    tries INTEGER NOT NULL DEFAULT 0,
    resubmits INTEGER NOT NULL DEFAULT 0,
    class INTEGER NOT NULL CHECK (class BETWEEN 0 AND 2),
    due_boot INTEGER NOT NULL,
    due_us INTEGER NOT NULL,
    due_asked INTEGER NOT NULL DEFAULT 0 CHECK (due_asked BETWEEN 0 AND 1),
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
INSERT INTO captures (seq, id, attempt, user_id, product, api, allow_new_enroll, state, reason, reserved, remote_id, verdict, code,
        answer, tries, resubmits, class, due_boot, due_us, due_asked, bytes, details, images, state_boot_id, state_boot_us,
        state_wall_ms, created_boot_id, created_boot_us, created_wall_ms)
    SELECT seq, id, attempt, user_id, product, api, allow_new_enroll, state, reason, reserved, remote_id, verdict, code,
        answer, tries, resubmits, class, due_boot, due_us, due_asked, bytes, details, images, state_boot_id, state_boot_us,
        state_wall_ms, created_boot_id, created_boot_us, created_wall_ms FROM jobs;
-- The rows that belong to jobs stay: migrations run with foreign keys off, and are checked for orphans at their end.
DROP TABLE jobs;
ALTER TABLE captures RENAME TO jobs;
-- Bytes of pictures that are still held: what the queue's limit counts.
CREATE INDEX jobs_held_bytes ON jobs (bytes) WHERE images = 1;
-- An index per state that something looks for. Each ends with the product, so that counting jobs reads no row.
CREATE INDEX jobs_new ON jobs (class, due_boot, due_us, seq, id, product) WHERE state = 'new';
CREATE INDEX jobs_accepted ON jobs (due_boot, due_us, seq, product) WHERE state = 'accepted';
CREATE INDEX jobs_unknown ON jobs (api, images, due_boot, due_us, seq, product) WHERE state = 'unknown_outcome';
CREATE INDEX jobs_sending ON jobs (seq, product) WHERE state = 'sending';
CREATE INDEX jobs_held ON jobs (seq, reason, product) WHERE state = 'held';
CREATE INDEX jobs_finished ON jobs (seq, state, product)
    WHERE state = 'decided' OR state = 'expired' OR state = 'dropped' OR state = 'dead_letter';
CREATE INDEX jobs_dead ON jobs (seq, images) WHERE state = 'dead_letter';
