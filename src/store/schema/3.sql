-- Version 3: the times of a job lie together in one tree, which each step of a job writes; they had a second one to be found by.

CREATE TABLE times (
    job INTEGER NOT NULL REFERENCES jobs (seq) ON DELETE CASCADE,
    -- Their order.
    number INTEGER NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    boot_id BLOB NOT NULL,
    boot_us INTEGER NOT NULL,
    wall_ms INTEGER,
    PRIMARY KEY (job, number)
) STRICT, WITHOUT ROWID;
INSERT INTO times SELECT job, row_number() OVER (PARTITION BY job ORDER BY rowid), state, reason, boot_id, boot_us, wall_ms
    FROM job_times;
DROP TABLE job_times;
ALTER TABLE times RENAME TO job_times;
