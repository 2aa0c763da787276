-- A mark of each row of a block, 4 bytes each, by which verification tells which row was changed. Blocks from before have
-- none: of those it names all rows.
ALTER TABLE blocks ADD COLUMN marks bytea NOT NULL DEFAULT '';
