-- How long a password is: as long as an operator's must be, or not known to be. Operators were never made with others.
ALTER TABLE users ADD COLUMN password_long boolean NOT NULL DEFAULT false;
UPDATE users SET password_long = true WHERE role <> 'customer';
-- A second factor as JSON, its seed sealed; none if there is none.
ALTER TABLE users ADD COLUMN second_factor text;
-- What an API key is, as JSON; none in the session of a login.
ALTER TABLE sessions ADD COLUMN api_key text;
