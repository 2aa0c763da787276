\set payer random(1, 9999)
\set payee :payer + 1
SELECT usual.pay(:payer, :payee, 1);
