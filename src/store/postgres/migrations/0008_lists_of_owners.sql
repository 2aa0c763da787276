-- Only what is listed by owner is indexed so: a payment that waits for its capture adds to the indexes' ends alone.
DROP INDEX records_by_owner;
CREATE INDEX records_by_owner ON records (kind, owner, no)
    WHERE kind IN ('notice', 'payment_request', 'schedule', 'webhook');
