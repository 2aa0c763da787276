-- How often what a row tells has happened: of calls that count for a limit, many at once.
ALTER TABLE throttle_news ADD COLUMN times integer NOT NULL DEFAULT 1 CHECK (times > 0);
