-- The life of a payment: rows about a payment after its first one, and where each leaves it. NULL in all of these where
-- a transaction is settled by itself.

ALTER TABLE transactions
    -- Of a payment that waits to be captured, 'manual'.
    ADD COLUMN capture text,
    -- The payment that a later step is about.
    ADD COLUMN about uuid,
    -- How the row leaves the payment; of a first row, that its money is held.
    ADD COLUMN status text,
    ADD COLUMN captured bigint,
    ADD COLUMN refunded bigint CHECK (refunded <= captured),
    ADD COLUMN note text,
    -- Who asked, where it does not follow from the kind; 'owner' says it of every row.
    ADD COLUMN actor uuid,
    -- What the sides had afterwards, with what is held, where the entries of their wallets do not say it.
    ADD COLUMN from_after bigint,
    ADD COLUMN to_after bigint,
    DROP CONSTRAINT transactions_check,
    ADD CONSTRAINT transactions_owner CHECK (CASE WHEN actor IS NULL THEN owner IN (from_user, to_user) ELSE owner = actor END);

-- A payment stands where the newest row about it left it.
CREATE INDEX transactions_about ON transactions (about, no) WHERE about IS NOT NULL;
