\set payer random(1, 10000)
SELECT usual.pay(:payer, 0, 1);
