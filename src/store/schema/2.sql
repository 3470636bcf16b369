-- Version 2. Jobs of the door go before checks: whose turn it is must still be answered from an index.
CREATE INDEX jobs_new_door ON jobs (seq, due_boot_id, due_us) WHERE state = 'new' AND attempt IS NOT NULL;
-- Erasing all of a person.
CREATE INDEX jobs_user ON jobs (user_id);
