-- The life of a payment: rows about a payment after its first one, and where each leaves it. NULL in all of these where
-- a transaction is settled by itself.

-- Of a payment that waits to be captured, 'manual'.
ALTER TABLE transactions ADD COLUMN capture TEXT;
-- The payment that a later step is about.
ALTER TABLE transactions ADD COLUMN about BLOB CHECK (length(about) = 16);
-- How the row leaves the payment; of a first row, that its money is held.
ALTER TABLE transactions ADD COLUMN status TEXT;
ALTER TABLE transactions ADD COLUMN captured INTEGER;
ALTER TABLE transactions ADD COLUMN refunded INTEGER CHECK (refunded <= captured);
ALTER TABLE transactions ADD COLUMN note TEXT;
-- Who asked, where it does not follow from the kind.
ALTER TABLE transactions ADD COLUMN actor BLOB CHECK (length(actor) = 16);
-- What the sides had afterwards, with what is held, where the entries of their wallets do not say it.
ALTER TABLE transactions ADD COLUMN from_after INTEGER;
ALTER TABLE transactions ADD COLUMN to_after INTEGER;

-- A payment stands where the newest row about it left it.
CREATE INDEX transactions_about ON transactions (about, no) WHERE about IS NOT NULL;
