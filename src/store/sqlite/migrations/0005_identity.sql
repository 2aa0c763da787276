-- How long a password is: as long as an operator's must be, or not known to be. Operators were never made with others.
ALTER TABLE users ADD COLUMN password_long INTEGER NOT NULL DEFAULT 0 CHECK (password_long IN (0, 1));
UPDATE users SET password_long = 1 WHERE role <> 'customer';
-- A second factor as JSON, its seed sealed; none if there is none.
ALTER TABLE users ADD COLUMN second_factor TEXT;
-- What an API key is, as JSON; none in the session of a login.
ALTER TABLE sessions ADD COLUMN api_key TEXT;
