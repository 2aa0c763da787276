-- The usual way: one transaction per payment, in a PL/pgSQL function that does what farthing does for one. The same durable
-- work: a key that is used once, a balance that is checked, a payment, two entries, two balances.
DROP SCHEMA IF EXISTS usual CASCADE;
CREATE SCHEMA usual;
SET search_path = usual;
CREATE TABLE accounts (id int PRIMARY KEY, balance bigint NOT NULL CHECK (balance >= 0)) WITH (fillfactor = 70);
CREATE TABLE payments (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    payer int NOT NULL REFERENCES accounts, payee int NOT NULL REFERENCES accounts,
    amount bigint NOT NULL CHECK (amount > 0), key uuid NOT NULL, at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (payer, key)
);
CREATE TABLE entries (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    payment bigint NOT NULL REFERENCES payments, account int NOT NULL REFERENCES accounts,
    amount bigint NOT NULL, balance_after bigint NOT NULL
);
INSERT INTO accounts SELECT n, 1000000000 FROM generate_series(0, 10000) n;

CREATE FUNCTION pay(the_payer int, the_payee int, the_amount bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    the_payment bigint;
    payer_after bigint;
    payee_after bigint;
BEGIN
    -- In the order of ids, so that two that pay each other do not wait for each other.
    PERFORM 1 FROM usual.accounts WHERE id IN (the_payer, the_payee) ORDER BY id FOR UPDATE;
    INSERT INTO usual.payments (payer, payee, amount, key) VALUES (the_payer, the_payee, the_amount, gen_random_uuid())
        RETURNING id INTO the_payment;
    UPDATE usual.accounts SET balance = balance - the_amount WHERE id = the_payer RETURNING balance INTO payer_after;
    UPDATE usual.accounts SET balance = balance + the_amount WHERE id = the_payee RETURNING balance INTO payee_after;
    INSERT INTO usual.entries (payment, account, amount, balance_after) VALUES
        (the_payment, the_payer, -the_amount, payer_after), (the_payment, the_payee, the_amount, payee_after);
    RETURN the_payment;
END
$$;
