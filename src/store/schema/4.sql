-- Version 4: events that had their time go, the oldest first, and an anchor stays in their place.

-- The last event that went and its link, to which the first that is kept is chained; signed under the key of the events. They
-- are numbered from 1 without gaps, so seq is also how many went. wall_ms: the last of their times that was known.
CREATE TABLE events_anchor (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    seq INTEGER NOT NULL,
    mac BLOB NOT NULL CHECK (length(mac) = 32),
    wall_ms INTEGER,
    signature BLOB NOT NULL CHECK (length(signature) = 32)
) STRICT;
-- Nothing goes for which no anchor stands.
DROP TRIGGER events_never_go;
CREATE TRIGGER events_never_go BEFORE DELETE ON events
WHEN OLD.seq > coalesce((SELECT seq FROM events_anchor), 0) BEGIN
    SELECT RAISE(ABORT, 'events are append-only');
END;
