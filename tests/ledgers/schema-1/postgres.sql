CREATE FUNCTION public.check_entries() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM new_entries e
        LEFT JOIN accounts a ON a.id = e.account
        LEFT JOIN transactions t ON t.no = e.transaction_no
        GROUP BY e.transaction_no, t.no, a.currency
        HAVING sum(e.amount) <> 0 OR t.no IS NULL OR a.currency IS NULL OR a.currency <> min(t.currency)
    ) THEN
        RAISE EXCEPTION 'entries without transaction or account, or whose sum is not zero'
            USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END
$$;
CREATE FUNCTION public.refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END
$$;
CREATE TABLE public.accounts (
    id uuid NOT NULL,
    owner uuid NOT NULL,
    kind text NOT NULL,
    currency text NOT NULL,
    balance bigint NOT NULL,
    CONSTRAINT accounts_are_not_below_zero CHECK (((balance >= 0) OR (owner = ANY (ARRAY['00000000-0000-0000-0000-000000000002'::uuid, '00000000-0000-0000-0000-000000000003'::uuid])))),
    CONSTRAINT accounts_currency_check CHECK ((length(currency) = 3)),
    CONSTRAINT accounts_kind_check CHECK ((kind = ANY (ARRAY['wallet'::text, 'holds'::text])))
)
WITH (fillfactor='70');
CREATE TABLE public.batches (
    id uuid NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE public.blocks (
    no bigint NOT NULL,
    last_transaction bigint NOT NULL,
    last_event bigint NOT NULL,
    at bigint NOT NULL,
    digest bytea NOT NULL,
    hash bytea NOT NULL,
    batch uuid NOT NULL,
    CONSTRAINT blocks_digest_check CHECK ((length(digest) = 32)),
    CONSTRAINT blocks_hash_check CHECK ((length(hash) = 32))
);
CREATE TABLE public.chain (
    one boolean DEFAULT true NOT NULL,
    block bigint NOT NULL,
    last_transaction bigint NOT NULL,
    last_event bigint NOT NULL,
    last_user bigint NOT NULL,
    at bigint NOT NULL,
    hash bytea NOT NULL,
    CONSTRAINT chain_hash_check CHECK ((length(hash) = 32)),
    CONSTRAINT chain_one_check CHECK (one)
)
WITH (fillfactor='10', autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='2000');
CREATE TABLE public.entries (
    no bigint NOT NULL,
    transaction_no bigint NOT NULL,
    account uuid NOT NULL,
    amount bigint NOT NULL,
    balance_after bigint NOT NULL,
    CONSTRAINT entries_amount_check CHECK ((amount <> 0)),
    CONSTRAINT entries_check CHECK (((no >= (transaction_no * 8)) AND (no < ((transaction_no * 8) + 8))))
);
CREATE TABLE public.properties (
    name text NOT NULL,
    value text NOT NULL
);
CREATE TABLE public.schema_migrations (
    version integer NOT NULL
);
CREATE TABLE public.security_events (
    no bigint NOT NULL,
    id uuid NOT NULL,
    at bigint NOT NULL,
    event text NOT NULL,
    severity text NOT NULL,
    user_id uuid,
    ip text,
    user_agent text,
    request uuid NOT NULL,
    detail text NOT NULL
);
CREATE TABLE public.sessions (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    created_at bigint NOT NULL,
    last_seen_at bigint NOT NULL,
    ip text,
    user_agent text,
    access_hash bytea NOT NULL,
    access_expires_at bigint NOT NULL,
    refresh_hash bytea NOT NULL,
    refresh_expires_at bigint NOT NULL,
    ended_at bigint,
    ended_why text,
    CONSTRAINT sessions_access_hash_check CHECK ((length(access_hash) = 32)),
    CONSTRAINT sessions_check CHECK (((ended_at IS NULL) = (ended_why IS NULL))),
    CONSTRAINT sessions_refresh_hash_check CHECK ((length(refresh_hash) = 32))
);
CREATE TABLE public.spent_tokens (
    hash bytea NOT NULL,
    session_id uuid NOT NULL,
    CONSTRAINT spent_tokens_hash_check CHECK ((length(hash) = 32))
);
CREATE UNLOGGED TABLE public.throttle_news (
    no bigint NOT NULL,
    node uuid NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    what text NOT NULL,
    account bytea NOT NULL,
    network text NOT NULL,
    CONSTRAINT throttle_news_account_check CHECK ((length(account) = 16))
);
ALTER TABLE public.throttle_news ALTER COLUMN no ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.throttle_news_no_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.transactions (
    no bigint NOT NULL,
    id uuid NOT NULL,
    kind text NOT NULL,
    from_user uuid NOT NULL,
    from_name text,
    to_user uuid NOT NULL,
    to_name text,
    owner uuid NOT NULL,
    amount bigint NOT NULL,
    currency text NOT NULL,
    description text NOT NULL,
    reference text NOT NULL,
    metadata text NOT NULL,
    method text,
    decline text,
    available bigint,
    idempotency_key text,
    created_at bigint NOT NULL,
    CONSTRAINT transactions_amount_check CHECK (((amount >= 1) AND (amount <= '999999999999'::bigint))),
    CONSTRAINT transactions_check CHECK (((owner = from_user) OR (owner = to_user))),
    CONSTRAINT transactions_currency_check CHECK ((length(currency) = 3))
);
CREATE TABLE public.users (
    id uuid NOT NULL,
    no bigint NOT NULL,
    email text NOT NULL,
    email_folded text NOT NULL,
    name text,
    password_hash text NOT NULL,
    role text NOT NULL,
    frozen boolean NOT NULL,
    created_at bigint NOT NULL,
    password_changed_at bigint NOT NULL,
    CONSTRAINT users_role_check CHECK ((role = ANY (ARRAY['customer'::text, 'support'::text, 'cashier'::text, 'auditor'::text, 'admin'::text])))
);
INSERT INTO public.accounts VALUES ('b83aad51-88b7-8c51-ae8f-a72898474d74', '00000000-0000-0000-0000-000000000002', 'wallet', 'USD', -300000);
INSERT INTO public.accounts VALUES ('e534abad-fdd4-878c-a1f6-85607f60971f', '00000000-0000-0000-0000-000000000001', 'wallet', 'USD', 700);
INSERT INTO public.accounts VALUES ('43b009d8-8d83-838a-9e95-da638d678a83', '01a2106f-29cb-76e7-86f0-8d57d2324105', 'wallet', 'USD', 98300);
INSERT INTO public.accounts VALUES ('9233dd79-fc37-8df7-8d23-6dcebdcf6e28', '01a2106f-29cb-76e7-86f0-8d57d2324105', 'wallet', 'JPY', 1200);
INSERT INTO public.accounts VALUES ('cd348625-ffd5-8ca6-b811-11f6f6a62188', '00000000-0000-0000-0000-000000000002', 'wallet', 'JPY', -1200);
INSERT INTO public.accounts VALUES ('0b6cb368-50b5-8fdf-9b4f-5375320a51c6', '01a2106f-2a35-780b-a4db-e8d624023efc', 'wallet', 'USD', 100946);
INSERT INTO public.accounts VALUES ('12efc3a4-4932-889c-b737-04f22f7521cc', '01a2106f-2a63-76b4-b98a-c905250d7a64', 'wallet', 'USD', 100054);
INSERT INTO public.batches VALUES ('01a2106f-29cb-7c0f-a660-3ab0805609da', '2026-11-25 02:00:50.398364+00');
INSERT INTO public.batches VALUES ('01a2106f-2a35-7dac-ba8b-c5b68b63145a', '2026-11-25 02:00:50.485717+00');
INSERT INTO public.batches VALUES ('01a2106f-2a63-7e26-82c3-b7f59e303111', '2026-11-25 02:00:50.532193+00');
INSERT INTO public.batches VALUES ('01a2106f-2aed-7639-918d-bf378aedbaf0', '2026-11-25 02:00:50.670018+00');
INSERT INTO public.batches VALUES ('01a2106f-2c00-7f11-96ab-54c20c05d724', '2026-11-25 02:00:50.94475+00');
INSERT INTO public.batches VALUES ('01a2106f-2c23-73f4-abcd-fd2e57a17c5f', '2026-11-25 02:00:50.979482+00');
INSERT INTO public.batches VALUES ('01a2106f-2c4f-7fc3-a82c-46abe858c421', '2026-11-25 02:00:51.025905+00');
INSERT INTO public.batches VALUES ('01a2106f-2c7e-7441-aabe-770b4e98f6aa', '2026-11-25 02:00:51.070904+00');
INSERT INTO public.batches VALUES ('01a2106f-2c95-7eb3-8ebf-8039bd9ad6f9', '2026-11-25 02:00:51.093642+00');
INSERT INTO public.batches VALUES ('01a2106f-2ca9-768f-b243-a0100930a344', '2026-11-25 02:00:51.113465+00');
INSERT INTO public.batches VALUES ('01a2106f-2cbf-7b27-a7a8-8bf74697a4fd', '2026-11-25 02:00:51.136112+00');
INSERT INTO public.batches VALUES ('01a2106f-2cf5-7e56-8bb3-ce78217afa4c', '2026-11-25 02:00:51.190534+00');
INSERT INTO public.batches VALUES ('01a2106f-2d14-78ab-bf77-a9898f80acf8', '2026-11-25 02:00:51.22117+00');
INSERT INTO public.batches VALUES ('01a2106f-2d46-7b94-a7c3-edf66fc2268b', '2026-11-25 02:00:51.270343+00');
INSERT INTO public.batches VALUES ('01a2106f-2da0-7d54-991e-9ffe5bdadc6e', '2026-11-25 02:00:51.361079+00');
INSERT INTO public.batches VALUES ('01a2106f-2db1-7cc5-929d-1201fea3061a', '2026-11-25 02:00:51.377454+00');
INSERT INTO public.batches VALUES ('01a2106f-2dc4-745b-aef9-44a267e42a73', '2026-11-25 02:00:51.396505+00');
INSERT INTO public.batches VALUES ('01a2106f-2dda-7345-b785-621123efe37f', '2026-11-25 02:00:51.418607+00');
INSERT INTO public.batches VALUES ('01a2106f-2dee-78ae-8b95-d970d58d77b2', '2026-11-25 02:00:51.438434+00');
INSERT INTO public.batches VALUES ('01a2106f-2e07-78a2-9af4-a97227f8470f', '2026-11-25 02:00:51.463243+00');
INSERT INTO public.batches VALUES ('01a2106f-2e19-7204-9463-49620a5319a6', '2026-11-25 02:00:51.481557+00');
INSERT INTO public.batches VALUES ('01a2106f-2e33-7f0a-9832-a78f1edc6653', '2026-11-25 02:00:51.509758+00');
INSERT INTO public.batches VALUES ('01a2106f-2e48-757f-9a50-db3c3d6048c1', '2026-11-25 02:00:51.528636+00');
INSERT INTO public.batches VALUES ('01a2106f-2e73-744b-b653-6c73d502c0a6', '2026-11-25 02:00:51.571428+00');
INSERT INTO public.batches VALUES ('01a2106f-2e92-755b-9499-843c2e34ce93', '2026-11-25 02:00:51.602658+00');
INSERT INTO public.batches VALUES ('01a2106f-2eaa-7946-9246-387666ad3411', '2026-11-25 02:00:51.627099+00');
INSERT INTO public.blocks VALUES (1, 1, 1, 1795572050399, '\x74f63e247837e0033c18a5ab7d466bc561f896ef8a6183e8c26d9c29b73a9cb4', '\xbdde87e0b7cb3279da2ae533c7a80b824c46c38ffab3d31cc026f14f9fb21fb5', '01a2106f-29cb-7c0f-a660-3ab0805609da');
INSERT INTO public.blocks VALUES (2, 2, 2, 1795572050486, '\xe34e02c9bf7dd9c0750a2c1dfd571e0de1560d76ba1e12f89260bbf9d47efdfd', '\xa2dbbc2341e42bfb257121eb26f4f0867c40c15939d5517b3bb1b2e6514cf1da', '01a2106f-2a35-7dac-ba8b-c5b68b63145a');
INSERT INTO public.blocks VALUES (3, 3, 3, 1795572050532, '\x49d1593392cce5b8cac80ea2be7f8e50f090c33863f4abd9fba5be1f4b8817ef', '\xd03362dd319865b408c231697f72fb39bb963c9e4fa6fad365841a082054c700', '01a2106f-2a63-7e26-82c3-b7f59e303111');
INSERT INTO public.blocks VALUES (4, 3, 5, 1795572050671, '\x6b347ed639b63a55ecc099bf3160662bda89d60ee5125c9342cd29dd5b0ec13a', '\x3e6f73982f8da363edcbff4fa3e10732b18c2833742a4eb2e21c3418e72d2416', '01a2106f-2aed-7639-918d-bf378aedbaf0');
INSERT INTO public.blocks VALUES (5, 3, 7, 1795572050945, '\x64bdb9c3eb872f306e607cbdb37b6d84ca7c5c111ed7930b6477d75fd848369a', '\xef65153e7b88c296c55635f30291b0e8b4e9d52f27cce56ffa71816be741c5ea', '01a2106f-2c00-7f11-96ab-54c20c05d724');
INSERT INTO public.blocks VALUES (6, 4, 7, 1795572050980, '\x2a420d8a0e5ed0903df7dc803e6497a435be85a9d28b16b462e2bd5e3521de9a', '\x41ad26d304e0f86bb75d17ce893e98282610de4558ab1db1e5f68d4790ba415f', '01a2106f-2c23-73f4-abcd-fd2e57a17c5f');
INSERT INTO public.blocks VALUES (7, 5, 7, 1795572051026, '\x22774f1f6ae31845d102f95580624e76a155dc321fef9b7eb128de2d5eea60d3', '\xaf33e57b7ed84329a62a6fc1a53156c7dae1552c281906bf7e31c05af484d9cd', '01a2106f-2c4f-7fc3-a82c-46abe858c421');
INSERT INTO public.blocks VALUES (8, 6, 7, 1795572051071, '\x33fe3a8f9d8a84f417346359d1ce34d8c4b4368cb8e31570f779a8b39e7ecedd', '\x99baa4655b30ad994560e1c085d263d0611907724b7fc3f455da3d07d7062b64', '01a2106f-2c7e-7441-aabe-770b4e98f6aa');
INSERT INTO public.blocks VALUES (9, 7, 8, 1795572051094, '\xeebfa05c8d8e9dcb555f795f5f60680f16e021e7a33c66c21785ff4be491d88c', '\xb6c45808beec0c0b3611b68f711187025e75ae08200d954f76e98db02da8c709', '01a2106f-2c95-7eb3-8ebf-8039bd9ad6f9');
INSERT INTO public.blocks VALUES (10, 8, 8, 1795572051114, '\xfff74174e3791ad788e797bd6fc78bd5bc0548a463d42d98ba16827633aff877', '\x6adfa6f9556692684ffa74d23373f497778c2d50fb6d6745fb64b5beee41d8f4', '01a2106f-2ca9-768f-b243-a0100930a344');
INSERT INTO public.blocks VALUES (11, 9, 9, 1795572051136, '\x9602591d77980980845f509dc23f81cfc421f9fc1eb4bed5cc500eb9cd07f1b5', '\x948f7175820f8781257dfe0a7973822e220d7acd039a9cc6eb2d6c691001d959', '01a2106f-2cbf-7b27-a7a8-8bf74697a4fd');
INSERT INTO public.blocks VALUES (12, 9, 10, 1795572051191, '\x2a6e32ec14e02cebf7522203cb3185aaec8347d119c64baed32808fb9cbf0db8', '\xc652d7070a8196cc13362cac5c5530c6b7fc6b628f5f3f03ef9329308b3a67cd', '01a2106f-2cf5-7e56-8bb3-ce78217afa4c');
INSERT INTO public.blocks VALUES (13, 9, 11, 1795572051222, '\xfb5e5078534801256654105f4e653a48bbdc6a71a1de84a9eb8d9dc173413df4', '\x064f72545949b7bccc7ab21fe49e3758b62cad0749a9762f8d06c139044a0d50', '01a2106f-2d14-78ab-bf77-a9898f80acf8');
INSERT INTO public.blocks VALUES (14, 10, 11, 1795572051271, '\x8774986a7029b1ff7bd34cb8657ebd130641d3e261c6cfebf9d341bc200f0e64', '\x15c9c60ced0164b13a18b792a49429b42b7c2a56d4e42b9186e971aa5331eb16', '01a2106f-2d46-7b94-a7c3-edf66fc2268b');
INSERT INTO public.blocks VALUES (15, 11, 11, 1795572051361, '\xd955565b7e1be07250ec3e902ddc23194c3a609c58f64d254322f2167abf4269', '\x5aa758a173127fcce68ff5b1e835db8533bbfc2c64e4ce7a0d20eb9143852ebb', '01a2106f-2da0-7d54-991e-9ffe5bdadc6e');
INSERT INTO public.blocks VALUES (16, 12, 11, 1795572051378, '\x9e528aff1e37989430602cb361a4581d6c6e21c0ab824c91e366aef22204a8e7', '\xaedebb7200f13840cc79dbf80198f1bc0bf0a3137f8269751e114cf11f0c0d03', '01a2106f-2db1-7cc5-929d-1201fea3061a');
INSERT INTO public.blocks VALUES (17, 13, 11, 1795572051397, '\x1a0f80a7b21ef7bba2f3c13f74a602fc8156963fe11f60f6b34ac45c3f254354', '\xcfa2bb1f703eddda1a2b6bbffb5e6180ef446282985d5fd41c1cd671436ccf52', '01a2106f-2dc4-745b-aef9-44a267e42a73');
INSERT INTO public.blocks VALUES (18, 14, 11, 1795572051419, '\xf1c0db48a81f9bc7df29c715a66bd95d9fb1c17de45d3ac2845829d30d135af6', '\x77ee30f44c500f633ad74ff1dc8dfe0bc2de78132db16113a20ece9192295c63', '01a2106f-2dda-7345-b785-621123efe37f');
INSERT INTO public.blocks VALUES (19, 15, 11, 1795572051439, '\xe69b50b300ec8dbb2576f663f82059cf62fce4bc4bef4e66c5b92bdcf9eac08e', '\x18e338e26c118600297fc61a413144ea565361d2f477d90108985487b08a6078', '01a2106f-2dee-78ae-8b95-d970d58d77b2');
INSERT INTO public.blocks VALUES (20, 16, 11, 1795572051464, '\x5146ef2bea6f82707ab23e1ae516f38c0e1568a343aa6fd6f1c73b33aac10134', '\x817babffd8f739888aa6446cec25344a2f36b70098968d9513e599658cdb49ed', '01a2106f-2e07-78a2-9af4-a97227f8470f');
INSERT INTO public.blocks VALUES (21, 17, 11, 1795572051482, '\xecc5eed18651333fb5573232bdc453ad3188cfe80578598fbd21f34ac42b9ded', '\x4ff1a0f205abf238c623e443be4e206d6d3989287a908868500817788e93e4d1', '01a2106f-2e19-7204-9463-49620a5319a6');
INSERT INTO public.blocks VALUES (22, 18, 11, 1795572051510, '\xd8bbf857c934bc3170da2f6ddc975f0655cf6860bcad9a7cc54a44d972454659', '\x687837d9fdfedec3dace0e0d0d708462540aad74400862695712c331cb3ffa8f', '01a2106f-2e33-7f0a-9832-a78f1edc6653');
INSERT INTO public.blocks VALUES (23, 19, 11, 1795572051529, '\xaf7255366862ecc979ffd9a66634a2452f732ab47d00fe45e0e0204b30e91bea', '\x7a639efad0ee4d7a072bcf82be62e4f751c12e3ec415d8447508482479e012b4', '01a2106f-2e48-757f-9a50-db3c3d6048c1');
INSERT INTO public.blocks VALUES (24, 20, 11, 1795572051572, '\x622f5d53286d2b9fa2343dce7d6665621e86f0b2674421f921df9b8fab1f9b51', '\xed633bfe8cdcada561b1bb620aad05857cccbda52394627ce84bfe93d44140a3', '01a2106f-2e73-744b-b653-6c73d502c0a6');
INSERT INTO public.blocks VALUES (25, 21, 11, 1795572051603, '\xa56a8a2e69f512749c30332039b387db6e70622f06fcd86e162d9ef50c1c8c04', '\x4a2be6eaeca26238a1571654d6fe053039922e5e10f26af286b42497aab541e0', '01a2106f-2e92-755b-9499-843c2e34ce93');
INSERT INTO public.blocks VALUES (26, 21, 12, 1795572051627, '\x5e31eabbefffa038abdd5149079c9a9d6c9cb9a48d501ebbf67765086b20d512', '\x4ff6bd6af44a0a417ee78b72bc0f13b7a6333d516197786c12c34f2525601336', '01a2106f-2eaa-7946-9246-387666ad3411');
INSERT INTO public.chain VALUES (true, 26, 21, 12, 3, 1795572051627, '\x4ff6bd6af44a0a417ee78b72bc0f13b7a6333d516197786c12c34f2525601336');
INSERT INTO public.entries VALUES (8, 1, 'b83aad51-88b7-8c51-ae8f-a72898474d74', -100000, -100000);
INSERT INTO public.entries VALUES (9, 1, '43b009d8-8d83-838a-9e95-da638d678a83', 100000, 100000);
INSERT INTO public.entries VALUES (16, 2, 'b83aad51-88b7-8c51-ae8f-a72898474d74', -100000, -200000);
INSERT INTO public.entries VALUES (17, 2, '0b6cb368-50b5-8fdf-9b4f-5375320a51c6', 100000, 100000);
INSERT INTO public.entries VALUES (24, 3, 'b83aad51-88b7-8c51-ae8f-a72898474d74', -100000, -300000);
INSERT INTO public.entries VALUES (25, 3, '12efc3a4-4932-889c-b737-04f22f7521cc', 100000, 100000);
INSERT INTO public.entries VALUES (32, 4, '43b009d8-8d83-838a-9e95-da638d678a83', -1250, 98750);
INSERT INTO public.entries VALUES (33, 4, '0b6cb368-50b5-8fdf-9b4f-5375320a51c6', 1250, 101250);
INSERT INTO public.entries VALUES (40, 5, '0b6cb368-50b5-8fdf-9b4f-5375320a51c6', -250, 101000);
INSERT INTO public.entries VALUES (41, 5, '43b009d8-8d83-838a-9e95-da638d678a83', 250, 99000);
INSERT INTO public.entries VALUES (48, 6, '43b009d8-8d83-838a-9e95-da638d678a83', -700, 98300);
INSERT INTO public.entries VALUES (49, 6, 'e534abad-fdd4-878c-a1f6-85607f60971f', 700, 700);
INSERT INTO public.entries VALUES (64, 8, 'cd348625-ffd5-8ca6-b811-11f6f6a62188', -1200, -1200);
INSERT INTO public.entries VALUES (65, 8, '9233dd79-fc37-8df7-8d23-6dcebdcf6e28', 1200, 1200);
INSERT INTO public.entries VALUES (80, 10, '0b6cb368-50b5-8fdf-9b4f-5375320a51c6', -2, 100998);
INSERT INTO public.entries VALUES (81, 10, '12efc3a4-4932-889c-b737-04f22f7521cc', 2, 100002);
INSERT INTO public.entries VALUES (88, 11, '0b6cb368-50b5-8fdf-9b4f-5375320a51c6', -3, 100995);
INSERT INTO public.entries VALUES (89, 11, '12efc3a4-4932-889c-b737-04f22f7521cc', 3, 100005);
INSERT INTO public.entries VALUES (96, 12, '0b6cb368-50b5-8fdf-9b4f-5375320a51c6', -4, 100991);
INSERT INTO public.entries VALUES (97, 12, '12efc3a4-4932-889c-b737-04f22f7521cc', 4, 100009);
INSERT INTO public.entries VALUES (104, 13, '0b6cb368-50b5-8fdf-9b4f-5375320a51c6', -5, 100986);
INSERT INTO public.entries VALUES (105, 13, '12efc3a4-4932-889c-b737-04f22f7521cc', 5, 100014);
INSERT INTO public.entries VALUES (112, 14, '0b6cb368-50b5-8fdf-9b4f-5375320a51c6', -6, 100980);
INSERT INTO public.entries VALUES (113, 14, '12efc3a4-4932-889c-b737-04f22f7521cc', 6, 100020);
INSERT INTO public.entries VALUES (120, 15, '0b6cb368-50b5-8fdf-9b4f-5375320a51c6', -7, 100973);
INSERT INTO public.entries VALUES (121, 15, '12efc3a4-4932-889c-b737-04f22f7521cc', 7, 100027);
INSERT INTO public.entries VALUES (128, 16, '0b6cb368-50b5-8fdf-9b4f-5375320a51c6', -8, 100965);
INSERT INTO public.entries VALUES (129, 16, '12efc3a4-4932-889c-b737-04f22f7521cc', 8, 100035);
INSERT INTO public.entries VALUES (136, 17, '0b6cb368-50b5-8fdf-9b4f-5375320a51c6', -9, 100956);
INSERT INTO public.entries VALUES (137, 17, '12efc3a4-4932-889c-b737-04f22f7521cc', 9, 100044);
INSERT INTO public.entries VALUES (144, 18, '0b6cb368-50b5-8fdf-9b4f-5375320a51c6', -1, 100955);
INSERT INTO public.entries VALUES (145, 18, '12efc3a4-4932-889c-b737-04f22f7521cc', 1, 100045);
INSERT INTO public.entries VALUES (152, 19, '0b6cb368-50b5-8fdf-9b4f-5375320a51c6', -2, 100953);
INSERT INTO public.entries VALUES (153, 19, '12efc3a4-4932-889c-b737-04f22f7521cc', 2, 100047);
INSERT INTO public.entries VALUES (160, 20, '0b6cb368-50b5-8fdf-9b4f-5375320a51c6', -3, 100950);
INSERT INTO public.entries VALUES (161, 20, '12efc3a4-4932-889c-b737-04f22f7521cc', 3, 100050);
INSERT INTO public.entries VALUES (168, 21, '0b6cb368-50b5-8fdf-9b4f-5375320a51c6', -4, 100946);
INSERT INTO public.entries VALUES (169, 21, '12efc3a4-4932-889c-b737-04f22f7521cc', 4, 100054);
INSERT INTO public.properties VALUES ('key_fingerprint', 'b2078ae2f7d8c526a03508732051123f5ea760ffaa2719d8e7e0a76262be114b');
INSERT INTO public.properties VALUES ('made_at', '1795572046605');
INSERT INTO public.properties VALUES ('mode', 'sandbox');
INSERT INTO public.properties VALUES ('ledger_id', '01a2106f-1b0d-7e7d-ba17-7bc818acdc45');
INSERT INTO public.schema_migrations VALUES (1);
INSERT INTO public.security_events VALUES (1, '01a2106f-293e-7fa0-99f3-eefd5e7d51ed', 1795572050399, 'user_created', 'info', '01a2106f-29cb-76e7-86f0-8d57d2324105', '127.0.0.1', 'curl/7.88.1', '01a2106f-293e-7fa0-99f3-eefd5e7d51ed', '{"role":"customer"}');
INSERT INTO public.security_events VALUES (2, '01a2106f-2a16-7d1e-a079-c6613caaeb09', 1795572050486, 'user_created', 'info', '01a2106f-2a35-780b-a4db-e8d624023efc', '127.0.0.1', 'curl/7.88.1', '01a2106f-2a16-7d1e-a079-c6613caaeb09', '{"role":"customer"}');
INSERT INTO public.security_events VALUES (3, '01a2106f-2a46-7945-b48a-0ca87794abf6', 1795572050532, 'user_created', 'info', '01a2106f-2a63-76b4-b98a-c905250d7a64', '127.0.0.1', 'curl/7.88.1', '01a2106f-2a46-7945-b48a-0ca87794abf6', '{"role":"customer"}');
INSERT INTO public.security_events VALUES (4, '01a2106f-2a9e-7595-802a-a61abb694001', 1795572050671, 'authn_login_success', 'info', '01a2106f-29cb-76e7-86f0-8d57d2324105', '127.0.0.1', 'curl/7.88.1', '01a2106f-2a9e-7595-802a-a61abb694001', '{"session":"ses_01m886yaqdfjkt864vm7mpgfn8"}');
INSERT INTO public.security_events VALUES (5, '01a2106f-2a9e-7595-802a-a61abb694000', 1795572050671, 'authn_token_created', 'info', '01a2106f-29cb-76e7-86f0-8d57d2324105', '127.0.0.1', 'curl/7.88.1', '01a2106f-2a9e-7595-802a-a61abb694001', '{"session":"ses_01m886yaqdfjkt864vm7mpgfn8"}');
INSERT INTO public.security_events VALUES (6, '01a2106f-2ba6-7d28-8ee9-495bf3c68776', 1795572050945, 'authn_login_success', 'info', '01a2106f-2a35-780b-a4db-e8d624023efc', '127.0.0.1', 'curl/7.88.1', '01a2106f-2ba6-7d28-8ee9-495bf3c68776', '{"session":"ses_01m886yb00f3yr4akrxgr8b35w"}');
INSERT INTO public.security_events VALUES (7, '01a2106f-2ba6-7d28-8ee9-495bf3c68777', 1795572050945, 'authn_token_created', 'info', '01a2106f-2a35-780b-a4db-e8d624023efc', '127.0.0.1', 'curl/7.88.1', '01a2106f-2ba6-7d28-8ee9-495bf3c68776', '{"session":"ses_01m886yb00f3yr4akrxgr8b35w"}');
INSERT INTO public.security_events VALUES (8, '01a2106f-2c93-7b5a-a4d1-24175d9daba7', 1795572051094, 'payment_declined', 'info', '01a2106f-29cb-76e7-86f0-8d57d2324105', '127.0.0.1', 'curl/7.88.1', '01a2106f-2c93-7b5a-a4d1-24175d9daba7', '{"reason":"insufficient_funds","transaction":"txn_01m886yb4nenpaskn6kwtywd51"}');
INSERT INTO public.security_events VALUES (9, '01a2106f-2cbe-743d-876d-c87e3400c229', 1795572051136, 'payment_declined', 'info', '01a2106f-29cb-76e7-86f0-8d57d2324105', '127.0.0.1', 'curl/7.88.1', '01a2106f-2cbe-743d-876d-c87e3400c229', '{"reason":"declined","transaction":"txn_01m886yb5zf66s2dnxyxw1xpva"}');
INSERT INTO public.security_events VALUES (10, '01a2106f-2cd9-71cb-94c1-a44b8c7f76de', 1795572051191, 'authn_login_fail', 'warning', '01a2106f-29cb-76e7-86f0-8d57d2324105', '127.0.0.1', 'curl/7.88.1', '01a2106f-2cd9-71cb-94c1-a44b8c7f76de', '{}');
INSERT INTO public.security_events VALUES (11, '01a2106f-2d14-73da-982d-9f5b8a92d57a', 1795572051222, 'authn_token_created', 'info', '01a2106f-29cb-76e7-86f0-8d57d2324105', '127.0.0.1', 'curl/7.88.1', '01a2106f-2d14-73da-982d-9f5b8a92d57a', '{"session":"ses_01m886yaqdfjkt864vm7mpgfn8"}');
INSERT INTO public.security_events VALUES (12, '01a2106f-2eaa-7cb9-a3b0-ec04b480cbdb', 1795572051627, 'authn_token_revoked', 'info', '01a2106f-2a35-780b-a4db-e8d624023efc', '127.0.0.1', 'curl/7.88.1', '01a2106f-2eaa-7cb9-a3b0-ec04b480cbdb', '{"reason":"logout","session":"ses_01m886yb00f3yr4akrxgr8b35w"}');
INSERT INTO public.sessions VALUES ('01a2106f-2aed-7ca7-a418-9ba1e9683ea8', '01a2106f-29cb-76e7-86f0-8d57d2324105', 1795572050671, 1795572051222, '127.0.0.1', 'curl/7.88.1', '\x72cd59a13aad00bbd10d69ad30b3d18a32ac6f82883ba4473248dc62f55f252a', 1795572951222, '\xf8aaa6f34823195a49064b0b7dbe5252686ced7ff072c84b45e99de869e70b7c', 1798164051222, NULL, NULL);
INSERT INTO public.sessions VALUES ('01a2106f-2c00-78fd-822a-78ec30858cbc', '01a2106f-2a35-780b-a4db-e8d624023efc', 1795572050945, 1795572050945, '127.0.0.1', 'curl/7.88.1', '\x715f7acd6d853815fd65784da0f9221cf1b27deb82c4b92fe46978141330f5ac', 1795572950945, '\x29448459b79f3d7cb14d7bf9681a4c314ab942b55c2c5b938325399838dc3db2', 1798164050945, 1795572051627, 'logout');
INSERT INTO public.spent_tokens VALUES ('\xdf0f1ba67a95072f5f1ae06ac79ebe8980b77da74a7554be9d0b5d92266d376b', '01a2106f-2aed-7ca7-a418-9ba1e9683ea8');
INSERT INTO public.transactions VALUES (1, '01a2106f-29cb-783b-b4bb-ca5b3e36702c', 'grant', '00000000-0000-0000-0000-000000000002', NULL, '01a2106f-29cb-76e7-86f0-8d57d2324105', 'ada', '01a2106f-29cb-76e7-86f0-8d57d2324105', 100000, 'USD', '', '', '', NULL, NULL, NULL, NULL, 1795572050399);
INSERT INTO public.transactions VALUES (2, '01a2106f-2a35-7297-a1e1-3d3375d197a2', 'grant', '00000000-0000-0000-0000-000000000002', NULL, '01a2106f-2a35-780b-a4db-e8d624023efc', 'ben', '01a2106f-2a35-780b-a4db-e8d624023efc', 100000, 'USD', '', '', '', NULL, NULL, NULL, NULL, 1795572050486);
INSERT INTO public.transactions VALUES (3, '01a2106f-2a63-7196-84f5-73c163b8f5c0', 'grant', '00000000-0000-0000-0000-000000000002', NULL, '01a2106f-2a63-76b4-b98a-c905250d7a64', 'eve', '01a2106f-2a63-76b4-b98a-c905250d7a64', 100000, 'USD', '', '', '', NULL, NULL, NULL, NULL, 1795572050532);
INSERT INTO public.transactions VALUES (4, '01a2106f-2c23-753c-8aed-555a7c15b606', 'payment', '01a2106f-29cb-76e7-86f0-8d57d2324105', 'ada', '01a2106f-2a35-780b-a4db-e8d624023efc', 'ben', '01a2106f-29cb-76e7-86f0-8d57d2324105', 1250, 'USD', 'Lunch', 'L-1', '{"table":"4"}', NULL, NULL, NULL, 'lunch', 1795572050980);
INSERT INTO public.transactions VALUES (5, '01a2106f-2c4f-7185-ac7a-c354a68e79d0', 'payment', '01a2106f-2a35-780b-a4db-e8d624023efc', 'ben', '01a2106f-29cb-76e7-86f0-8d57d2324105', 'ada', '01a2106f-2a35-780b-a4db-e8d624023efc', 250, 'USD', '', '', '', NULL, NULL, NULL, 'back', 1795572051026);
INSERT INTO public.transactions VALUES (6, '01a2106f-2c7e-7143-a4e8-28cb6816ab5d', 'payment', '01a2106f-29cb-76e7-86f0-8d57d2324105', 'ada', '00000000-0000-0000-0000-000000000001', 'House', '01a2106f-29cb-76e7-86f0-8d57d2324105', 700, 'USD', '', '', '', NULL, NULL, NULL, 'house', 1795572051071);
INSERT INTO public.transactions VALUES (7, '01a2106f-2c95-756c-acce-a69f35ee34a1', 'payment', '01a2106f-29cb-76e7-86f0-8d57d2324105', 'ada', '00000000-0000-0000-0000-000000000001', 'House', '01a2106f-29cb-76e7-86f0-8d57d2324105', 500000, 'USD', '', '', '', NULL, 'insufficient_funds', 98300, 'much', 1795572051094);
INSERT INTO public.transactions VALUES (8, '01a2106f-2ca9-7250-a0b3-3e81dd85fb9e', 'topup', '00000000-0000-0000-0000-000000000002', NULL, '01a2106f-29cb-76e7-86f0-8d57d2324105', 'ada', '01a2106f-29cb-76e7-86f0-8d57d2324105', 1200, 'JPY', '', '', '', 'sim_ok', NULL, NULL, 'top', 1795572051114);
INSERT INTO public.transactions VALUES (9, '01a2106f-2cbf-798d-9136-bdf7781edb6a', 'topup', '00000000-0000-0000-0000-000000000002', NULL, '01a2106f-29cb-76e7-86f0-8d57d2324105', 'ada', '01a2106f-29cb-76e7-86f0-8d57d2324105', 1200, 'EUR', '', '', '', 'sim_declined', 'declined', NULL, NULL, 1795572051136);
INSERT INTO public.transactions VALUES (10, '01a2106f-2d46-7a0c-acdb-fa6eb2782515', 'payment', '01a2106f-2a35-780b-a4db-e8d624023efc', 'ben', '01a2106f-2a63-76b4-b98a-c905250d7a64', 'eve', '01a2106f-2a35-780b-a4db-e8d624023efc', 2, 'USD', '', '', '', NULL, NULL, NULL, 'more-1', 1795572051271);
INSERT INTO public.transactions VALUES (11, '01a2106f-2da0-797a-a217-2f538fa4b4f6', 'payment', '01a2106f-2a35-780b-a4db-e8d624023efc', 'ben', '01a2106f-2a63-76b4-b98a-c905250d7a64', 'eve', '01a2106f-2a35-780b-a4db-e8d624023efc', 3, 'USD', '', '', '', NULL, NULL, NULL, 'more-2', 1795572051361);
INSERT INTO public.transactions VALUES (12, '01a2106f-2db1-7695-93d9-67c43ab76fba', 'payment', '01a2106f-2a35-780b-a4db-e8d624023efc', 'ben', '01a2106f-2a63-76b4-b98a-c905250d7a64', 'eve', '01a2106f-2a35-780b-a4db-e8d624023efc', 4, 'USD', '', '', '', NULL, NULL, NULL, 'more-3', 1795572051378);
INSERT INTO public.transactions VALUES (13, '01a2106f-2dc4-72e8-aa69-5f6984d6a317', 'payment', '01a2106f-2a35-780b-a4db-e8d624023efc', 'ben', '01a2106f-2a63-76b4-b98a-c905250d7a64', 'eve', '01a2106f-2a35-780b-a4db-e8d624023efc', 5, 'USD', '', '', '', NULL, NULL, NULL, 'more-4', 1795572051397);
INSERT INTO public.transactions VALUES (14, '01a2106f-2dda-74c8-8374-b92062f1213e', 'payment', '01a2106f-2a35-780b-a4db-e8d624023efc', 'ben', '01a2106f-2a63-76b4-b98a-c905250d7a64', 'eve', '01a2106f-2a35-780b-a4db-e8d624023efc', 6, 'USD', '', '', '', NULL, NULL, NULL, 'more-5', 1795572051419);
INSERT INTO public.transactions VALUES (15, '01a2106f-2dee-714f-a4a5-81ae5d1a475f', 'payment', '01a2106f-2a35-780b-a4db-e8d624023efc', 'ben', '01a2106f-2a63-76b4-b98a-c905250d7a64', 'eve', '01a2106f-2a35-780b-a4db-e8d624023efc', 7, 'USD', '', '', '', NULL, NULL, NULL, 'more-6', 1795572051439);
INSERT INTO public.transactions VALUES (16, '01a2106f-2e06-7942-aad2-716daaf621f6', 'payment', '01a2106f-2a35-780b-a4db-e8d624023efc', 'ben', '01a2106f-2a63-76b4-b98a-c905250d7a64', 'eve', '01a2106f-2a35-780b-a4db-e8d624023efc', 8, 'USD', '', '', '', NULL, NULL, NULL, 'more-7', 1795572051464);
INSERT INTO public.transactions VALUES (17, '01a2106f-2e19-7080-b77f-590538b1e3a4', 'payment', '01a2106f-2a35-780b-a4db-e8d624023efc', 'ben', '01a2106f-2a63-76b4-b98a-c905250d7a64', 'eve', '01a2106f-2a35-780b-a4db-e8d624023efc', 9, 'USD', '', '', '', NULL, NULL, NULL, 'more-8', 1795572051482);
INSERT INTO public.transactions VALUES (18, '01a2106f-2e33-7c35-ae35-445d2a1024f5', 'payment', '01a2106f-2a35-780b-a4db-e8d624023efc', 'ben', '01a2106f-2a63-76b4-b98a-c905250d7a64', 'eve', '01a2106f-2a35-780b-a4db-e8d624023efc', 1, 'USD', '', '', '', NULL, NULL, NULL, 'more-9', 1795572051510);
INSERT INTO public.transactions VALUES (19, '01a2106f-2e48-77e2-88d4-c60b1db55ecc', 'payment', '01a2106f-2a35-780b-a4db-e8d624023efc', 'ben', '01a2106f-2a63-76b4-b98a-c905250d7a64', 'eve', '01a2106f-2a35-780b-a4db-e8d624023efc', 2, 'USD', '', '', '', NULL, NULL, NULL, 'more-10', 1795572051529);
INSERT INTO public.transactions VALUES (20, '01a2106f-2e73-7de9-b35c-55c5491c95e8', 'payment', '01a2106f-2a35-780b-a4db-e8d624023efc', 'ben', '01a2106f-2a63-76b4-b98a-c905250d7a64', 'eve', '01a2106f-2a35-780b-a4db-e8d624023efc', 3, 'USD', '', '', '', NULL, NULL, NULL, 'more-11', 1795572051572);
INSERT INTO public.transactions VALUES (21, '01a2106f-2e92-7906-a2b1-b5a5d61facdf', 'payment', '01a2106f-2a35-780b-a4db-e8d624023efc', 'ben', '01a2106f-2a63-76b4-b98a-c905250d7a64', 'eve', '01a2106f-2a35-780b-a4db-e8d624023efc', 4, 'USD', '', '', '', NULL, NULL, NULL, 'more-12', 1795572051603);
INSERT INTO public.users VALUES ('01a2106f-29cb-76e7-86f0-8d57d2324105', 1, 'ada@example.org', 'ada@example.org', 'ada', '$argon2id$v=19$m=19456,t=2,p=1$Dhm0xMFBlHyGPYHqZBdRGQ$GHxvcVM4IvbgxDLiQIz8ykmoI6/dJ7GZJnil7yVuPjU', 'customer', false, 1795572050399, 1795572050399);
INSERT INTO public.users VALUES ('01a2106f-2a35-780b-a4db-e8d624023efc', 2, 'ben@example.org', 'ben@example.org', 'ben', '$argon2id$v=19$m=19456,t=2,p=1$NRad3gahyfJYDF6JnUy50g$vwJh/IgBNRky/kN0KnWS2NXQ+gvzla759zASMuai42I', 'customer', false, 1795572050486, 1795572050486);
INSERT INTO public.users VALUES ('01a2106f-2a63-76b4-b98a-c905250d7a64', 3, 'eve@example.org', 'eve@example.org', 'eve', '$argon2id$v=19$m=19456,t=2,p=1$2ngJOSc5+r/+ppLBKXBLWQ$AzlIsd8q7VwQpq/vFoodzPh16IUnQ3tqZFrs/3GiO8s', 'customer', false, 1795572050532, 1795572050532);
SELECT pg_catalog.setval('public.throttle_news_no_seq', 1, false);
ALTER TABLE ONLY public.accounts
    ADD CONSTRAINT accounts_key UNIQUE (owner, kind, currency);
ALTER TABLE ONLY public.accounts
    ADD CONSTRAINT accounts_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.batches
    ADD CONSTRAINT batches_id PRIMARY KEY (id);
ALTER TABLE ONLY public.blocks
    ADD CONSTRAINT blocks_pkey PRIMARY KEY (no);
ALTER TABLE ONLY public.chain
    ADD CONSTRAINT chain_pkey PRIMARY KEY (one);
ALTER TABLE ONLY public.entries
    ADD CONSTRAINT entries_pkey PRIMARY KEY (no);
ALTER TABLE ONLY public.properties
    ADD CONSTRAINT properties_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (version);
ALTER TABLE ONLY public.security_events
    ADD CONSTRAINT security_events_pkey PRIMARY KEY (no);
ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_access_hash_key UNIQUE (access_hash);
ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_refresh_hash_key UNIQUE (refresh_hash);
ALTER TABLE ONLY public.spent_tokens
    ADD CONSTRAINT spent_tokens_pkey PRIMARY KEY (hash);
ALTER TABLE ONLY public.throttle_news
    ADD CONSTRAINT throttle_news_pkey PRIMARY KEY (no);
ALTER TABLE ONLY public.transactions
    ADD CONSTRAINT transactions_id UNIQUE (id);
ALTER TABLE ONLY public.transactions
    ADD CONSTRAINT transactions_pkey PRIMARY KEY (no);
ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_email UNIQUE (email_folded);
ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_no_key UNIQUE (no);
ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);
CREATE INDEX batches_by_time ON public.batches USING btree (at);
CREATE INDEX blocks_by_time ON public.blocks USING btree (at, no);
CREATE INDEX security_events_by_user ON public.security_events USING btree (user_id, no) WHERE (user_id IS NOT NULL);
CREATE INDEX sessions_by_user ON public.sessions USING btree (user_id, ip);
CREATE INDEX throttle_news_by_time ON public.throttle_news USING btree (at);
CREATE INDEX transactions_from ON public.transactions USING btree (from_user, no);
CREATE UNIQUE INDEX transactions_key ON public.transactions USING btree (owner, idempotency_key) WHERE (idempotency_key IS NOT NULL);
CREATE INDEX transactions_to ON public.transactions USING btree (to_user, no);
CREATE TRIGGER blocks_are_not_changed BEFORE DELETE OR UPDATE OR TRUNCATE ON public.blocks FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();
CREATE TRIGGER entries_are_not_changed BEFORE DELETE OR UPDATE OR TRUNCATE ON public.entries FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();
CREATE TRIGGER entries_are_sound AFTER INSERT ON public.entries REFERENCING NEW TABLE AS new_entries FOR EACH STATEMENT EXECUTE FUNCTION public.check_entries();
CREATE TRIGGER events_are_not_changed BEFORE DELETE OR UPDATE OR TRUNCATE ON public.security_events FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();
CREATE TRIGGER transactions_are_not_changed BEFORE DELETE OR UPDATE OR TRUNCATE ON public.transactions FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();
ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.spent_tokens
    ADD CONSTRAINT spent_tokens_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.sessions(id) DEFERRABLE INITIALLY DEFERRED;
