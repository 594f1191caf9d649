CREATE TABLE public.addonkit_lifecycle_notice (
    id bigint NOT NULL,
    tenant_id integer NOT NULL,
    plugin character varying(100) NOT NULL,
    event character varying(32) NOT NULL,
    is_first boolean NOT NULL,
    at timestamp with time zone NOT NULL,
    attempts integer NOT NULL,
    due_at double precision NOT NULL,
    error text,
    created_at timestamp with time zone NOT NULL
);
CREATE SEQUENCE public.addonkit_lifecycle_notice_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.addonkit_lifecycle_notice_id_seq OWNED BY public.addonkit_lifecycle_notice.id;
CREATE TABLE public.addonkit_tenant (
    id integer NOT NULL,
    client_key character varying(255) NOT NULL,
    product character varying(32) NOT NULL,
    base_url text NOT NULL,
    display_url text NOT NULL,
    oauth_client_id text,
    installation_id text,
    shared_secret text,
    former_secret text,
    former_until double precision,
    state character varying(16) NOT NULL,
    installed_iat bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    uninstalled_at timestamp with time zone
);
CREATE SEQUENCE public.addonkit_tenant_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.addonkit_tenant_id_seq OWNED BY public.addonkit_tenant.id;
CREATE TABLE public.addonkit_used_token (
    id integer NOT NULL,
    digest character varying(64) NOT NULL,
    expires_at bigint NOT NULL
);
CREATE SEQUENCE public.addonkit_used_token_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.addonkit_used_token_id_seq OWNED BY public.addonkit_used_token.id;
CREATE TABLE public.issue_panel_item (
    tenant_id integer NOT NULL,
    id bigint NOT NULL,
    issue_id character varying(64) NOT NULL,
    text character varying(500) NOT NULL,
    done boolean NOT NULL,
    rank bigint NOT NULL,
    version integer NOT NULL,
    created_by character varying(128) NOT NULL,
    created_at timestamp with time zone NOT NULL,
    done_by character varying(128),
    done_at timestamp with time zone,
    edited_by character varying(128),
    edited_at timestamp with time zone
);
CREATE SEQUENCE public.issue_panel_item_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.issue_panel_item_id_seq OWNED BY public.issue_panel_item.id;
CREATE TABLE public.macro_choice (
    tenant_id integer NOT NULL,
    id bigint NOT NULL,
    option_id bigint NOT NULL,
    vote_id bigint NOT NULL
);
CREATE SEQUENCE public.macro_choice_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.macro_choice_id_seq OWNED BY public.macro_choice.id;
CREATE TABLE public.macro_option (
    tenant_id integer NOT NULL,
    id bigint NOT NULL,
    key character varying(32) NOT NULL,
    text character varying(120) NOT NULL,
    "position" smallint NOT NULL,
    poll_id bigint NOT NULL
);
CREATE SEQUENCE public.macro_option_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.macro_option_id_seq OWNED BY public.macro_option.id;
CREATE TABLE public.macro_poll (
    tenant_id integer NOT NULL,
    id bigint NOT NULL,
    key character varying(32) NOT NULL,
    question character varying(300) NOT NULL,
    several boolean NOT NULL,
    closes_at timestamp with time zone,
    author_id character varying(128) NOT NULL,
    draft character varying(32) NOT NULL,
    revision integer NOT NULL,
    created_at timestamp with time zone NOT NULL
);
CREATE SEQUENCE public.macro_poll_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.macro_poll_id_seq OWNED BY public.macro_poll.id;
CREATE TABLE public.macro_vote (
    tenant_id integer NOT NULL,
    id bigint NOT NULL,
    account_id character varying(128) NOT NULL,
    cast_at timestamp with time zone NOT NULL,
    poll_id bigint NOT NULL
);
CREATE SEQUENCE public.macro_vote_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.macro_vote_id_seq OWNED BY public.macro_vote.id;
CREATE TABLE public.tortoise_migrations (
    id integer NOT NULL,
    app character varying(255) NOT NULL,
    name character varying(255) NOT NULL,
    applied_at timestamp with time zone NOT NULL
);
CREATE SEQUENCE public.tortoise_migrations_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.tortoise_migrations_id_seq OWNED BY public.tortoise_migrations.id;
ALTER TABLE ONLY public.addonkit_lifecycle_notice ALTER COLUMN id SET DEFAULT nextval('public.addonkit_lifecycle_notice_id_seq'::regclass);
ALTER TABLE ONLY public.addonkit_tenant ALTER COLUMN id SET DEFAULT nextval('public.addonkit_tenant_id_seq'::regclass);
ALTER TABLE ONLY public.addonkit_used_token ALTER COLUMN id SET DEFAULT nextval('public.addonkit_used_token_id_seq'::regclass);
ALTER TABLE ONLY public.issue_panel_item ALTER COLUMN id SET DEFAULT nextval('public.issue_panel_item_id_seq'::regclass);
ALTER TABLE ONLY public.macro_choice ALTER COLUMN id SET DEFAULT nextval('public.macro_choice_id_seq'::regclass);
ALTER TABLE ONLY public.macro_option ALTER COLUMN id SET DEFAULT nextval('public.macro_option_id_seq'::regclass);
ALTER TABLE ONLY public.macro_poll ALTER COLUMN id SET DEFAULT nextval('public.macro_poll_id_seq'::regclass);
ALTER TABLE ONLY public.macro_vote ALTER COLUMN id SET DEFAULT nextval('public.macro_vote_id_seq'::regclass);
ALTER TABLE ONLY public.tortoise_migrations ALTER COLUMN id SET DEFAULT nextval('public.tortoise_migrations_id_seq'::regclass);
INSERT INTO public.addonkit_tenant VALUES (1, 'site-jira', 'jira', 'http://127.0.0.1:9000', 'http://127.0.0.1:9000', NULL, NULL, 'v1.first.ZAMRggb9TcNhCvG5mbShlYacwtCNnl2JtU8L2uSpC6h2IICyVbkKAXwotflTD5z7ZdpikHH5xHJUdHpud3RwWW_gY2Ey6spzN9V4ILxzo5y1yoCnVuj4RSvO18E=', NULL, NULL, 'enabled', 1795474514, '2026-11-23 22:55:15.029492+00', '2026-11-23 22:55:15.216496+00', NULL);
INSERT INTO public.addonkit_tenant VALUES (2, 'site-wiki', 'confluence', 'http://127.0.0.1:9000/wiki', 'http://127.0.0.1:9000/wiki', NULL, NULL, 'v1.first.K_5Ti2KTojkl5ul68XbEi-UA7cbwl2nMXsSkyEITzmcqp_Aa8WEAZTRIGDq65JRVgS7isSAydqkuHavPLlU1FQtQ4k7zNqAt1CyF1L0GTLH93xjsci7v9ejEXp8=', NULL, NULL, 'enabled', 1795474515, '2026-11-23 22:55:15.228429+00', '2026-11-23 22:55:15.23943+00', NULL);
INSERT INTO public.addonkit_tenant VALUES (3, 'site-gone', 'jira', 'http://127.0.0.1:9002', 'http://127.0.0.1:9002', NULL, NULL, 'v1.first.PcNCTq6ae_8HsHI5JQDiCCpKiqKtJWFvJCi_9FwpW7505iOhWSbVJfe5z48m4WykPDTYtJJgQaf5lD2pusKlb2kka-wcQ8u_LyHB0xwOwfVmSBwsfvYRZcWTBDk=', NULL, NULL, 'uninstalled', 1795474516, '2026-11-23 22:55:15.248335+00', '2026-11-23 22:55:16.203067+00', '2026-11-23 22:55:16.202958+00');
INSERT INTO public.addonkit_used_token VALUES (1, '6cf11601ffffa22cfb0d19d80847ace9cb3e4fc1318eaa2ee96c2f0d81972a85', 1795474694);
INSERT INTO public.addonkit_used_token VALUES (2, 'b433f6ad72fd179e96a54bde0d056250ddcf00667d3923a975d0d2f07e801f48', 1795474695);
INSERT INTO public.addonkit_used_token VALUES (3, '5fbac7dc2389cc063e422d10e2439cdd5050e675819bfeb8139cfb308c2e6d00', 1795474695);
INSERT INTO public.addonkit_used_token VALUES (4, '40f5a192fd1f376af7a54c6139eaa8012fe03e7c076df5491cb82406d3c42840', 1795474695);
INSERT INTO public.addonkit_used_token VALUES (5, 'edf935db2369f18ce94ed7be7571717137358757d0b849099c2f661156eb6a79', 1795474695);
INSERT INTO public.addonkit_used_token VALUES (6, '3176767b06248c69d2a37f1166550d7e6fc95f7741a404250e5019dcd315ca64', 1795474695);
INSERT INTO public.addonkit_used_token VALUES (7, 'ba14ccc65e339830bda8a6a1f41f419a1683f45857c062469c619562e65d0666', 1795474696);
INSERT INTO public.issue_panel_item VALUES (1, 1, '10001', 'Buy paint; and ''brushes''', false, 0, 1, 'acc-1', '2026-11-23 22:55:15.522611+00', NULL, NULL, NULL, NULL);
INSERT INTO public.issue_panel_item VALUES (1, 2, '10001', 'Paint the wall', false, 1024, 1, 'acc-1', '2026-11-23 22:55:15.587371+00', NULL, NULL, NULL, NULL);
INSERT INTO public.issue_panel_item VALUES (1, 3, '10001', 'Żółć – 漆', false, 2048, 1, 'acc-1', '2026-11-23 22:55:15.606586+00', NULL, NULL, NULL, NULL);
INSERT INTO public.issue_panel_item VALUES (3, 4, '10001', 'Another site''s', false, 0, 1, 'acc-1', '2026-11-23 22:55:15.64419+00', NULL, NULL, NULL, NULL);
INSERT INTO public.macro_choice VALUES (2, 1, 1, 1);
INSERT INTO public.macro_choice VALUES (2, 2, 1, 2);
INSERT INTO public.macro_choice VALUES (2, 3, 2, 3);
INSERT INTO public.macro_option VALUES (2, 1, '017979e8299034d8c481af1f282eb32a', 'Tea', 0, 1);
INSERT INTO public.macro_option VALUES (2, 2, 'b0e1f06cf1e7d466ee3048ebef45d85b', 'Coffee', 1, 1);
INSERT INTO public.macro_poll VALUES (2, 1, 'bf9c8f98440c7daa4278ee9426634938', 'Tea or coffee?', false, NULL, 'author', '694018943365710520803a9970c20af0', 1, '2026-11-23 22:55:15.778937+00');
INSERT INTO public.macro_vote VALUES (2, 1, 'ann', '2026-11-23 22:55:15.952665+00', 1);
INSERT INTO public.macro_vote VALUES (2, 2, 'bob', '2026-11-23 22:55:16.117185+00', 1);
INSERT INTO public.macro_vote VALUES (2, 3, 'cem', '2026-11-23 22:55:16.171326+00', 1);
INSERT INTO public.tortoise_migrations VALUES (1, 'addonkit', '0001_initial', '2026-11-23 22:55:49.847566+00');
INSERT INTO public.tortoise_migrations VALUES (2, 'issue_panel', '0001_initial', '2026-11-23 22:55:49.861459+00');
INSERT INTO public.tortoise_migrations VALUES (3, 'macro', '0001_initial', '2026-11-23 22:55:50.046445+00');
SELECT pg_catalog.setval('public.addonkit_lifecycle_notice_id_seq', 1, false);
SELECT pg_catalog.setval('public.addonkit_tenant_id_seq', 3, true);
SELECT pg_catalog.setval('public.addonkit_used_token_id_seq', 7, true);
SELECT pg_catalog.setval('public.issue_panel_item_id_seq', 4, true);
SELECT pg_catalog.setval('public.macro_choice_id_seq', 3, true);
SELECT pg_catalog.setval('public.macro_option_id_seq', 2, true);
SELECT pg_catalog.setval('public.macro_poll_id_seq', 1, true);
SELECT pg_catalog.setval('public.macro_vote_id_seq', 3, true);
SELECT pg_catalog.setval('public.tortoise_migrations_id_seq', 3, true);
ALTER TABLE ONLY public.addonkit_lifecycle_notice
    ADD CONSTRAINT addonkit_lifecycle_notice_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.addonkit_tenant
    ADD CONSTRAINT addonkit_tenant_client_key_key UNIQUE (client_key);
ALTER TABLE ONLY public.addonkit_tenant
    ADD CONSTRAINT addonkit_tenant_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.addonkit_used_token
    ADD CONSTRAINT addonkit_used_token_digest_key UNIQUE (digest);
ALTER TABLE ONLY public.addonkit_used_token
    ADD CONSTRAINT addonkit_used_token_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.issue_panel_item
    ADD CONSTRAINT issue_panel_item_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.macro_choice
    ADD CONSTRAINT macro_choice_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.macro_option
    ADD CONSTRAINT macro_option_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.macro_poll
    ADD CONSTRAINT macro_poll_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.macro_vote
    ADD CONSTRAINT macro_vote_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.tortoise_migrations
    ADD CONSTRAINT tortoise_migrations_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.macro_choice
    ADD CONSTRAINT uid_macro_choic_vote_id_0bd84a UNIQUE (vote_id, option_id);
ALTER TABLE ONLY public.macro_option
    ADD CONSTRAINT uid_macro_optio_poll_id_62c642 UNIQUE (poll_id, key);
ALTER TABLE ONLY public.macro_poll
    ADD CONSTRAINT uid_macro_poll_tenant__8facff UNIQUE (tenant_id, key);
ALTER TABLE ONLY public.macro_poll
    ADD CONSTRAINT uid_macro_poll_tenant__bf33f5 UNIQUE (tenant_id, author_id, draft);
ALTER TABLE ONLY public.macro_vote
    ADD CONSTRAINT uid_macro_vote_poll_id_cb671b UNIQUE (poll_id, account_id);
ALTER TABLE ONLY public.tortoise_migrations
    ADD CONSTRAINT uid_tortoise_mi_app_3803a5 UNIQUE (app, name);
CREATE INDEX idx_addonkit_li_due_at_9518a4 ON public.addonkit_lifecycle_notice USING btree (due_at);
CREATE INDEX idx_addonkit_li_tenant__85c402 ON public.addonkit_lifecycle_notice USING btree (tenant_id);
CREATE INDEX idx_addonkit_us_expires_94eea0 ON public.addonkit_used_token USING btree (expires_at);
CREATE INDEX idx_issue_panel_tenant__74e6b3 ON public.issue_panel_item USING btree (tenant_id, issue_id);
CREATE INDEX idx_issue_panel_tenant__f92a08 ON public.issue_panel_item USING btree (tenant_id);
CREATE INDEX idx_macro_choic_option__349c9c ON public.macro_choice USING btree (option_id);
CREATE INDEX idx_macro_choic_tenant__afd9c3 ON public.macro_choice USING btree (tenant_id);
CREATE INDEX idx_macro_optio_tenant__7d2132 ON public.macro_option USING btree (tenant_id);
CREATE INDEX idx_macro_poll_tenant__4dcd9c ON public.macro_poll USING btree (tenant_id);
CREATE INDEX idx_macro_vote_tenant__f3f042 ON public.macro_vote USING btree (tenant_id);
ALTER TABLE ONLY public.macro_choice
    ADD CONSTRAINT macro_choice_option_id_fkey FOREIGN KEY (option_id) REFERENCES public.macro_option(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.macro_choice
    ADD CONSTRAINT macro_choice_vote_id_fkey FOREIGN KEY (vote_id) REFERENCES public.macro_vote(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.macro_option
    ADD CONSTRAINT macro_option_poll_id_fkey FOREIGN KEY (poll_id) REFERENCES public.macro_poll(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.macro_vote
    ADD CONSTRAINT macro_vote_poll_id_fkey FOREIGN KEY (poll_id) REFERENCES public.macro_poll(id) ON DELETE CASCADE;
