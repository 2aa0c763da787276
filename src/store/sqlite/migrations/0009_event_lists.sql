-- Folded out of the security events: which ones concern a user, valid up to and with 'events_listed_to'. Users come in no
-- order, so that an index would dirty a page of its own for each event.
CREATE TABLE event_lists (
    user BLOB NOT NULL CHECK (length(user) = 16),
    no INTEGER NOT NULL,
    PRIMARY KEY (user, no)
) STRICT, WITHOUT ROWID;
INSERT INTO event_lists (user, no) SELECT user, no FROM security_events WHERE user IS NOT NULL ORDER BY user, no;
INSERT INTO properties (name, value) SELECT 'events_listed_to', coalesce(max(no), 0) FROM security_events;
DROP INDEX security_events_by_user;
