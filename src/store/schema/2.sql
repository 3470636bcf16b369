-- Version 2: whose turn it is.

-- The number of the boot in `boots` takes the place of its random id: so moments of different boots have an order, and the
-- next job is the first entry of an index however many wait. 0: of a boot that is no longer known, long past.
ALTER TABLE jobs ADD COLUMN due_boot INTEGER NOT NULL DEFAULT 0;
-- Jobs of one class wait in a line of their own. 0: an operator wants it now; 1: for the door; 2: a check.
ALTER TABLE jobs ADD COLUMN class INTEGER NOT NULL DEFAULT 2 CHECK (class IN (0, 1, 2));
UPDATE jobs SET due_boot = coalesce((SELECT seq FROM boots WHERE boot_id = due_boot_id), 0),
    class = iif(product IN ('authentication', 'registration'), 1, 2);

-- Submissions so far of jobs that waited: each fourth goes to who has waited longest. In this row because it is written with
-- each of a job's steps anyway.
ALTER TABLE boots ADD COLUMN turns INTEGER NOT NULL DEFAULT 0;

-- Each index of states ends with the product, so that counting jobs reads no row.
DROP INDEX jobs_new;
DROP INDEX jobs_accepted;
DROP INDEX jobs_unknown;
DROP INDEX jobs_sending;
DROP INDEX jobs_held;
DROP INDEX jobs_finished;
ALTER TABLE jobs DROP COLUMN due_boot_id;
CREATE INDEX jobs_new ON jobs (class, due_boot, due_us, seq, id, product) WHERE state = 'new';
CREATE INDEX jobs_accepted ON jobs (due_boot, due_us, seq, product) WHERE state = 'accepted';
CREATE INDEX jobs_unknown ON jobs (api, images, due_boot, due_us, seq, product) WHERE state = 'unknown_outcome';
CREATE INDEX jobs_sending ON jobs (seq, product) WHERE state = 'sending';
CREATE INDEX jobs_held ON jobs (seq, reason, product) WHERE state = 'held';
CREATE INDEX jobs_finished ON jobs (seq, state, product) WHERE state IN ('decided', 'expired', 'dropped', 'dead_letter');
