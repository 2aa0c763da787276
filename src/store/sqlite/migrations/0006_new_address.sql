-- When the user last logged in from a network for the first time; none if never but from the first one.
ALTER TABLE users ADD COLUMN new_address_at INTEGER;
