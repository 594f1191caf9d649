--
-- PostgreSQL database dump
--


-- Dumped from database version 18.4
-- Dumped by pg_dump version 18.4

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: addonkit_applied_release; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.addonkit_applied_release (
    id integer NOT NULL,
    app_name character varying(100) NOT NULL,
    name character varying(255) NOT NULL,
    distribution character varying(200) NOT NULL,
    version character varying(100) NOT NULL,
    at timestamp with time zone NOT NULL
);


--
-- Name: TABLE addonkit_applied_release; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.addonkit_applied_release IS 'Which release brought a migration that this database has.';


--
-- Name: addonkit_applied_release_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE public.addonkit_applied_release_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: addonkit_applied_release_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: -
--

ALTER SEQUENCE public.addonkit_applied_release_id_seq OWNED BY public.addonkit_applied_release.id;


--
-- Name: addonkit_job; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.addonkit_job (
    id bigint NOT NULL,
    tenant_id integer NOT NULL,
    plugin character varying(100) NOT NULL,
    name character varying(100) NOT NULL,
    kind character varying(12) NOT NULL,
    payload bytea NOT NULL,
    version integer NOT NULL,
    facts text NOT NULL,
    dedupe character varying(255),
    order_key character varying(255),
    state character varying(8) NOT NULL,
    due_at double precision NOT NULL,
    starts integer NOT NULL,
    failures integer NOT NULL,
    deaths integer NOT NULL,
    worker character varying(64),
    lease_until double precision,
    error text,
    created_at double precision NOT NULL,
    finished_at double precision
);


--
-- Name: TABLE addonkit_job; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.addonkit_job IS 'One thing to be done in the background. Times are Unix time in seconds.';


--
-- Name: addonkit_job_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE public.addonkit_job_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: addonkit_job_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: -
--

ALTER SEQUENCE public.addonkit_job_id_seq OWNED BY public.addonkit_job.id;


--
-- Name: addonkit_schedule; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.addonkit_schedule (
    id integer NOT NULL,
    plugin character varying(100) NOT NULL,
    name character varying(100) NOT NULL,
    rule character varying(100) NOT NULL,
    next_at double precision NOT NULL,
    last_at double precision,
    reached integer
);


--
-- Name: TABLE addonkit_schedule; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.addonkit_schedule IS 'When something happens next. Times are Unix time in seconds.';


--
-- Name: addonkit_schedule_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE public.addonkit_schedule_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: addonkit_schedule_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: -
--

ALTER SEQUENCE public.addonkit_schedule_id_seq OWNED BY public.addonkit_schedule.id;


--
-- Name: addonkit_tenant; Type: TABLE; Schema: public; Owner: -
--

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
    uninstalled_at timestamp with time zone,
    note text
);


--
-- Name: TABLE addonkit_tenant; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.addonkit_tenant IS 'One site, kept after it uninstalled so that its next install finds its data.';


--
-- Name: addonkit_tenant_history; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.addonkit_tenant_history (
    id bigint NOT NULL,
    tenant_id integer NOT NULL,
    at timestamp with time zone NOT NULL,
    what character varying(32) NOT NULL,
    client_key character varying(255) NOT NULL,
    base_url text NOT NULL,
    detail text NOT NULL
);


--
-- Name: TABLE addonkit_tenant_history; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.addonkit_tenant_history IS 'One thing that happened to a site: what it was called before is found here.';


--
-- Name: addonkit_tenant_history_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE public.addonkit_tenant_history_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: addonkit_tenant_history_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: -
--

ALTER SEQUENCE public.addonkit_tenant_history_id_seq OWNED BY public.addonkit_tenant_history.id;


--
-- Name: addonkit_tenant_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE public.addonkit_tenant_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: addonkit_tenant_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: -
--

ALTER SEQUENCE public.addonkit_tenant_id_seq OWNED BY public.addonkit_tenant.id;


--
-- Name: addonkit_used_token; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.addonkit_used_token (
    id integer NOT NULL,
    digest character varying(64) NOT NULL,
    expires_at bigint NOT NULL
);


--
-- Name: TABLE addonkit_used_token; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.addonkit_used_token IS 'A lifecycle token that was used, until nobody would take it any more.';


--
-- Name: addonkit_used_token_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE public.addonkit_used_token_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: addonkit_used_token_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: -
--

ALTER SEQUENCE public.addonkit_used_token_id_seq OWNED BY public.addonkit_used_token.id;


--
-- Name: issue_panel_item; Type: TABLE; Schema: public; Owner: -
--

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


--
-- Name: TABLE issue_panel_item; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.issue_panel_item IS 'One thing to do on one issue.';


--
-- Name: issue_panel_item_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE public.issue_panel_item_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: issue_panel_item_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: -
--

ALTER SEQUENCE public.issue_panel_item_id_seq OWNED BY public.issue_panel_item.id;


--
-- Name: macro_choice; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.macro_choice (
    tenant_id integer NOT NULL,
    id bigint NOT NULL,
    option_id bigint NOT NULL,
    vote_id bigint NOT NULL
);


--
-- Name: TABLE macro_choice; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.macro_choice IS 'One option that a vote names: a vote in a poll of several choices has several.';


--
-- Name: macro_choice_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE public.macro_choice_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: macro_choice_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: -
--

ALTER SEQUENCE public.macro_choice_id_seq OWNED BY public.macro_choice.id;


--
-- Name: macro_option; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.macro_option (
    tenant_id integer NOT NULL,
    id bigint NOT NULL,
    key character varying(32) NOT NULL,
    text character varying(120) NOT NULL,
    "position" smallint NOT NULL,
    poll_id bigint NOT NULL
);


--
-- Name: TABLE macro_option; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.macro_option IS 'One answer that a poll offers.';


--
-- Name: macro_option_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE public.macro_option_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: macro_option_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: -
--

ALTER SEQUENCE public.macro_option_id_seq OWNED BY public.macro_option.id;


--
-- Name: macro_place; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.macro_place (
    tenant_id integer NOT NULL,
    id bigint NOT NULL,
    content_id character varying(64) NOT NULL,
    poll_id bigint NOT NULL
);


--
-- Name: TABLE macro_place; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.macro_place IS 'That a poll has been seen on a page or in a blog post; a copied page shows the poll as well.';


--
-- Name: macro_place_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE public.macro_place_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: macro_place_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: -
--

ALTER SEQUENCE public.macro_place_id_seq OWNED BY public.macro_place.id;


--
-- Name: macro_poll; Type: TABLE; Schema: public; Owner: -
--

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


--
-- Name: TABLE macro_poll; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.macro_poll IS 'A question put to the readers of a page.';


--
-- Name: macro_poll_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE public.macro_poll_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: macro_poll_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: -
--

ALTER SEQUENCE public.macro_poll_id_seq OWNED BY public.macro_poll.id;


--
-- Name: macro_vote; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.macro_vote (
    tenant_id integer NOT NULL,
    id bigint NOT NULL,
    account_id character varying(128) NOT NULL,
    cast_at timestamp with time zone NOT NULL,
    poll_id bigint NOT NULL
);


--
-- Name: TABLE macro_vote; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.macro_vote IS 'That one account has answered one poll.';


--
-- Name: macro_vote_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE public.macro_vote_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: macro_vote_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: -
--

ALTER SEQUENCE public.macro_vote_id_seq OWNED BY public.macro_vote.id;


--
-- Name: tortoise_migrations; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.tortoise_migrations (
    id integer NOT NULL,
    app character varying(255) NOT NULL,
    name character varying(255) NOT NULL,
    applied_at timestamp with time zone NOT NULL
);


--
-- Name: tortoise_migrations_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE public.tortoise_migrations_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: tortoise_migrations_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: -
--

ALTER SEQUENCE public.tortoise_migrations_id_seq OWNED BY public.tortoise_migrations.id;


--
-- Name: addonkit_applied_release id; Type: DEFAULT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.addonkit_applied_release ALTER COLUMN id SET DEFAULT nextval('public.addonkit_applied_release_id_seq'::regclass);


--
-- Name: addonkit_job id; Type: DEFAULT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.addonkit_job ALTER COLUMN id SET DEFAULT nextval('public.addonkit_job_id_seq'::regclass);


--
-- Name: addonkit_schedule id; Type: DEFAULT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.addonkit_schedule ALTER COLUMN id SET DEFAULT nextval('public.addonkit_schedule_id_seq'::regclass);


--
-- Name: addonkit_tenant id; Type: DEFAULT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.addonkit_tenant ALTER COLUMN id SET DEFAULT nextval('public.addonkit_tenant_id_seq'::regclass);


--
-- Name: addonkit_tenant_history id; Type: DEFAULT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.addonkit_tenant_history ALTER COLUMN id SET DEFAULT nextval('public.addonkit_tenant_history_id_seq'::regclass);


--
-- Name: addonkit_used_token id; Type: DEFAULT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.addonkit_used_token ALTER COLUMN id SET DEFAULT nextval('public.addonkit_used_token_id_seq'::regclass);


--
-- Name: issue_panel_item id; Type: DEFAULT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.issue_panel_item ALTER COLUMN id SET DEFAULT nextval('public.issue_panel_item_id_seq'::regclass);


--
-- Name: macro_choice id; Type: DEFAULT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.macro_choice ALTER COLUMN id SET DEFAULT nextval('public.macro_choice_id_seq'::regclass);


--
-- Name: macro_option id; Type: DEFAULT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.macro_option ALTER COLUMN id SET DEFAULT nextval('public.macro_option_id_seq'::regclass);


--
-- Name: macro_place id; Type: DEFAULT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.macro_place ALTER COLUMN id SET DEFAULT nextval('public.macro_place_id_seq'::regclass);


--
-- Name: macro_poll id; Type: DEFAULT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.macro_poll ALTER COLUMN id SET DEFAULT nextval('public.macro_poll_id_seq'::regclass);


--
-- Name: macro_vote id; Type: DEFAULT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.macro_vote ALTER COLUMN id SET DEFAULT nextval('public.macro_vote_id_seq'::regclass);


--
-- Name: tortoise_migrations id; Type: DEFAULT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tortoise_migrations ALTER COLUMN id SET DEFAULT nextval('public.tortoise_migrations_id_seq'::regclass);


--
-- Data for Name: addonkit_applied_release; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.addonkit_applied_release VALUES (1, 'addonkit', '0001_initial', 'addonkit', '0.1.0', '2026-11-27 16:57:18.709098+00');
INSERT INTO public.addonkit_applied_release VALUES (2, 'addonkit', '0002_history_and_releases', 'addonkit', '0.1.0', '2026-11-27 16:57:18.709513+00');
INSERT INTO public.addonkit_applied_release VALUES (3, 'addonkit', '0003_jobs', 'addonkit', '0.1.0', '2026-11-27 16:57:18.709714+00');
INSERT INTO public.addonkit_applied_release VALUES (4, 'addonkit', '0004_schedules_in_steps', 'addonkit', '0.1.0', '2026-11-27 16:57:18.709898+00');
INSERT INTO public.addonkit_applied_release VALUES (5, 'issue_panel', '0001_initial', 'addonkit-issue-panel', '0.1.0', '2026-11-27 16:57:18.709915+00');
INSERT INTO public.addonkit_applied_release VALUES (6, 'macro', '0001_initial', 'addonkit-macro', '0.1.0', '2026-11-27 16:57:18.709928+00');
INSERT INTO public.addonkit_applied_release VALUES (7, 'macro', '0002_places', 'addonkit-macro', '0.1.0', '2026-11-27 16:57:18.709938+00');


--
-- Data for Name: addonkit_job; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.addonkit_job VALUES (1, 1, 'issue_panel', 'forget_issue', 'webhook', '\x7b2274696d657374616d70223a20312c2022776562686f6f6b4576656e74223a20226a6972613a69737375655f64656c65746564222c20226973737565223a207b226964223a20223130303031222c20226b6579223a202241422d31227d7d', 1, '{"objects":{"issue_id":"10001"},"identifier":"delivery-1","retry":0,"flow":"Primary"}', 'delivery-1', 'forget_issue:10001', 'ready', 1795798640.8549988, 0, 0, 0, NULL, NULL, NULL, 1795798640.8549988, NULL);
INSERT INTO public.addonkit_job VALUES (2, 1, 'macro', 'work', 'job', '\x7b7d', 1, '{}', NULL, NULL, 'held', 5.5, 1, 1, 0, NULL, NULL, NULL, 1, NULL);
INSERT INTO public.addonkit_job VALUES (3, 1, 'macro', 'addon_installed', 'job', '\x7b7d', 1, '{}', NULL, NULL, 'dead', 5.5, 1, 1, 0, NULL, NULL, NULL, 1, NULL);
INSERT INTO public.addonkit_job VALUES (4, 1, 'macro', 'work', 'job', '\x7b7d', 1, '{}', NULL, NULL, 'waiting', 5.5, 1, 1, 0, NULL, NULL, NULL, 1, NULL);


--
-- Data for Name: addonkit_schedule; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.addonkit_schedule VALUES (1, 'addonkit', 'purge', '6h', 1, NULL, NULL);


--
-- Data for Name: addonkit_tenant; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.addonkit_tenant VALUES (2, 'site-wiki', 'confluence', 'http://127.0.0.1:9000/wiki', 'http://127.0.0.1:9000/wiki', '6d1f6674-cd55-4cae-b767-626206c518f0', NULL, 'v1.first.NMvc44q_E0QHf7VemdY0TdTRtLSdPy2HtuN45KynUlugOIJIjBbKSPO5uxyYQ_JA7fAJ_6kcXjMN9o3OgqgiyIK9QNQPjgWeYbPfLBA44YZ9uyP-7QYNzMuQtoQ=', NULL, NULL, 'enabled', 1795798639, '2026-11-27 16:57:19.168044+00', '2026-11-27 16:57:19.183986+00', NULL, NULL);
INSERT INTO public.addonkit_tenant VALUES (6, 'site-lonely', 'confluence', 'http://127.0.0.1:9005/wiki', 'http://127.0.0.1:9005/wiki', '9181acfe-a043-4279-8d4d-8becbdf999ab', NULL, 'v1.first.acEu0WLQ64jAAnp386C8l73fxACtVWVIOkL257fBGG9lLCk-M4n7IoKGFsXV_kZyzZoCabq9C9xpO90qMl42t7pmlW-7jN0y1dyIQZoY-X0f5TnP2jrjV25w160=', NULL, NULL, 'enabled', 1795798639, '2026-11-27 16:57:19.275302+00', '2026-11-27 16:57:19.290918+00', NULL, NULL);
INSERT INTO public.addonkit_tenant VALUES (5, 'site-rotated', 'jira', 'http://127.0.0.1:9004', 'http://127.0.0.1:9004', 'fa2c2243-b788-488d-a35b-3133bf871c0f', NULL, 'v1.second.kocSbRx8JvFd4RSNoqgxZ9_aSe2fEAWZ8Fn9gwI_WEtvAG0gWtLWe00Yf9dPfkItDF4Gpg0q2_e4jfjlEf2QiI_oJ0NLFucaAO5aAxJGFmL6C_txurhO5SIflfk=', 'v1.second.P6QEjgldeCnGW-eesgUZlNI8jXbiZX1-9ZdBozYvhTF524XQYi9olbfQO-01vyoKmuS60uMNYsK9JHXbVccHtn49Ka4Rc4cO1yWpwiElM_BAd2gI32uo3uluDW4=', 2426518640.5869656, 'enabled', 1795798640, '2026-11-27 16:57:19.252139+00', '2026-11-27 16:57:20.587098+00', NULL, NULL);
INSERT INTO public.addonkit_tenant VALUES (4, 'site-off', 'jira', 'http://127.0.0.1:9003', 'http://127.0.0.1:9003', '732ee5af-9215-4b37-ae19-321abc112790', NULL, 'v1.first.FKMsAi3G_SM7pAALUB4QsD1rBzQe6UrJNlQmdeNTB5Yrg5c-MpccymzDwOEkv8LVO0zqgioJKMDL-2WlZJF6ofhB07ke-VkqWiU5XaVpF5bN1r21r3vKfGynGUk=', NULL, NULL, 'disabled', 1795798639, '2026-11-27 16:57:19.230942+00', '2026-11-27 16:57:20.7591+00', NULL, NULL);
INSERT INTO public.addonkit_tenant VALUES (3, 'site-gone', 'jira', 'http://127.0.0.1:9002', 'http://127.0.0.1:9002', 'b7564196-fe83-468f-aa53-196b40be9195', NULL, 'v1.first.iRXpuOdop4PnRC26E_ChE5EI5NFYZwA_hv2XLWDigLg5t5iJMEYkjOw2VWy648SAjvR5dVo-gXg1qRwvDPLb0xo0x1SUlGif0L0WC_P733pMZR-1cJfVTy6QYn4=', NULL, NULL, 'uninstalled', 1795798640, '2026-11-27 16:57:19.199725+00', '2026-11-27 16:57:20.815272+00', '2026-11-27 16:57:20.808764+00', NULL);
INSERT INTO public.addonkit_tenant VALUES (1, 'site-jira', 'jira', 'http://127.0.0.1:9000', 'http://127.0.0.1:9000', 'oauth-1', 'ari:cloud:ecosystem::installation/0d1f', 'v1.first.WkbIqQIPihLBYLj0Jpm13GpaviV4SehtsGI6qR1yjSMXdkQZMkabohQzap2iBK8LvL-2OXtdgaRABfIWA4ZdvBEjqTSdSi-sQ7yDYAgQyy2MjdTtgpd6rLA_p04=', NULL, NULL, 'enabled', 1795798638, '2026-11-27 16:57:19.128287+00', '2026-11-27 16:57:19.155985+00', NULL, 'invoice 4711');


--
-- Data for Name: addonkit_tenant_history; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.addonkit_tenant_history VALUES (1, 1, '2026-11-27 16:57:19.131387+00', 'installed', 'site-jira', 'http://127.0.0.1:9000', '');
INSERT INTO public.addonkit_tenant_history VALUES (2, 1, '2026-11-27 16:57:19.157208+00', 'enabled', 'site-jira', 'http://127.0.0.1:9000', '');
INSERT INTO public.addonkit_tenant_history VALUES (3, 2, '2026-11-27 16:57:19.168262+00', 'installed', 'site-wiki', 'http://127.0.0.1:9000/wiki', '');
INSERT INTO public.addonkit_tenant_history VALUES (4, 2, '2026-11-27 16:57:19.18693+00', 'enabled', 'site-wiki', 'http://127.0.0.1:9000/wiki', '');
INSERT INTO public.addonkit_tenant_history VALUES (5, 3, '2026-11-27 16:57:19.202864+00', 'installed', 'site-gone', 'http://127.0.0.1:9002', '');
INSERT INTO public.addonkit_tenant_history VALUES (6, 3, '2026-11-27 16:57:19.21728+00', 'enabled', 'site-gone', 'http://127.0.0.1:9002', '');
INSERT INTO public.addonkit_tenant_history VALUES (7, 4, '2026-11-27 16:57:19.231194+00', 'installed', 'site-off', 'http://127.0.0.1:9003', '');
INSERT INTO public.addonkit_tenant_history VALUES (8, 4, '2026-11-27 16:57:19.244026+00', 'enabled', 'site-off', 'http://127.0.0.1:9003', '');
INSERT INTO public.addonkit_tenant_history VALUES (9, 5, '2026-11-27 16:57:19.252328+00', 'installed', 'site-rotated', 'http://127.0.0.1:9004', '');
INSERT INTO public.addonkit_tenant_history VALUES (10, 5, '2026-11-27 16:57:19.265134+00', 'enabled', 'site-rotated', 'http://127.0.0.1:9004', '');
INSERT INTO public.addonkit_tenant_history VALUES (11, 6, '2026-11-27 16:57:19.278866+00', 'installed', 'site-lonely', 'http://127.0.0.1:9005/wiki', '');
INSERT INTO public.addonkit_tenant_history VALUES (12, 6, '2026-11-27 16:57:19.291561+00', 'enabled', 'site-lonely', 'http://127.0.0.1:9005/wiki', '');
INSERT INTO public.addonkit_tenant_history VALUES (13, 5, '2026-11-27 16:57:20.610568+00', 'rotated', 'site-rotated', 'http://127.0.0.1:9004', '');
INSERT INTO public.addonkit_tenant_history VALUES (14, 1, '2026-11-27 16:57:20.714878+00', 'noted', 'site-jira', 'http://127.0.0.1:9000', 'written');
INSERT INTO public.addonkit_tenant_history VALUES (15, 4, '2026-11-27 16:57:20.763037+00', 'disabled', 'site-off', 'http://127.0.0.1:9003', '');
INSERT INTO public.addonkit_tenant_history VALUES (16, 3, '2026-11-27 16:57:20.808783+00', 'uninstalled', 'site-gone', 'http://127.0.0.1:9002', '');


--
-- Data for Name: addonkit_used_token; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.addonkit_used_token VALUES (1, 'baee26f8bf160b35688c6727201fd0f313a0c7af256534259456c9dbfa40781c', 1795798818);
INSERT INTO public.addonkit_used_token VALUES (2, '760a5af58478d9e666c4710bfa90784d0b059ff2d8e1eb6cdf6f563fe61439e4', 1795798819);
INSERT INTO public.addonkit_used_token VALUES (3, 'c8d1ddc8bca67a9dd6d666282ee7e73f5bd3ae074c30a74403e2b0900231f8b4', 1795798819);
INSERT INTO public.addonkit_used_token VALUES (4, 'c11e61e7e2c14c886c1c63e7912cc40e31f73dd56aa2ae123c4bd7e598b24b8a', 1795798819);
INSERT INTO public.addonkit_used_token VALUES (5, '0330f181d2788146301f09bd3f1f04ed049deac3e06966f500a456c85a8b3ca0', 1795798819);
INSERT INTO public.addonkit_used_token VALUES (6, 'fc55883dad892a53587749f3c2b87e086bac33a3d905df9ac625e2d3749980ef', 1795798819);
INSERT INTO public.addonkit_used_token VALUES (7, 'dfa83a10f9dde9b1bfa036edabdc4e67a826d8697089741af3f000eb2af617b6', 1795798819);
INSERT INTO public.addonkit_used_token VALUES (8, '969847e7f23ccb4c4e53bf2dbc9d075a6a824e65e0bac92aca0db871261590f9', 1795798819);
INSERT INTO public.addonkit_used_token VALUES (9, 'd1e14818a1898fe5e7de4662ab4ef1d1947eafa51f31a943b44721dad70a30dd', 1795798819);
INSERT INTO public.addonkit_used_token VALUES (10, '1fcee1a60e15a97e3b63658efb6f45fe1797bf57cdd33126e4281329ffac73fc', 1795798819);
INSERT INTO public.addonkit_used_token VALUES (11, '3e432e29cd1a3843a09c065efe5415e8621f3df5c6ba0b6b8f4501e395b06505', 1795798819);
INSERT INTO public.addonkit_used_token VALUES (12, '0cf8c26496977478f47ef49af00dfe790e1291fc923e030a4d8f8e40b45ded6c', 1795798819);
INSERT INTO public.addonkit_used_token VALUES (13, '091fbb4f7b064be4dc91d888c4c4b46f8774bc127f19fe75f403c56a2567489c', 1795798820);
INSERT INTO public.addonkit_used_token VALUES (14, '6ca170a16ce122ab5656e2d015da25e0c491aac6d5534142277da65343484c2c', 1795798820);
INSERT INTO public.addonkit_used_token VALUES (15, '5ce351ee7624c95780899a4e8cc22b99dadc9ce71157839ecf3e55ce3e51fb04', 1795798820);


--
-- Data for Name: issue_panel_item; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.issue_panel_item VALUES (1, 1, '10001', 'Buy paint; and ''brushes''', false, 1024, 1, 'ann', '2026-11-27 16:57:20.675425+00', NULL, NULL, NULL, NULL);
INSERT INTO public.issue_panel_item VALUES (1, 2, '10001', 'Paint the wall', false, 2048, 1, 'ann', '2026-11-27 16:57:20.679129+00', NULL, NULL, NULL, NULL);
INSERT INTO public.issue_panel_item VALUES (1, 3, '10001', 'Żółć – 漆', false, 3072, 1, 'ann', '2026-11-27 16:57:20.679609+00', NULL, NULL, NULL, NULL);
INSERT INTO public.issue_panel_item VALUES (3, 4, '10001', 'Another site''s', false, 1024, 1, 'ann', '2026-11-27 16:57:20.680632+00', NULL, NULL, NULL, NULL);
INSERT INTO public.issue_panel_item VALUES (4, 5, '10001', 'Off', false, 1024, 1, 'ann', '2026-11-27 16:57:20.692381+00', NULL, NULL, NULL, NULL);
INSERT INTO public.issue_panel_item VALUES (5, 6, '10001', 'Rotated', false, 1024, 1, 'ann', '2026-11-27 16:57:20.699454+00', NULL, NULL, NULL, NULL);


--
-- Data for Name: macro_choice; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: macro_option; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: macro_place; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: macro_poll; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: macro_vote; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: tortoise_migrations; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.tortoise_migrations VALUES (1, 'addonkit', '0001_initial', '2026-11-27 16:57:17.860553+00');
INSERT INTO public.tortoise_migrations VALUES (2, 'addonkit', '0002_history_and_releases', '2026-11-27 16:57:17.885565+00');
INSERT INTO public.tortoise_migrations VALUES (3, 'addonkit', '0003_jobs', '2026-11-27 16:57:18.108771+00');
INSERT INTO public.tortoise_migrations VALUES (4, 'addonkit', '0004_schedules_in_steps', '2026-11-27 16:57:18.155488+00');
INSERT INTO public.tortoise_migrations VALUES (5, 'issue_panel', '0001_initial', '2026-11-27 16:57:18.183154+00');
INSERT INTO public.tortoise_migrations VALUES (6, 'macro', '0001_initial', '2026-11-27 16:57:18.657082+00');
INSERT INTO public.tortoise_migrations VALUES (7, 'macro', '0002_places', '2026-11-27 16:57:18.708035+00');


--
-- Name: addonkit_applied_release_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.addonkit_applied_release_id_seq', 7, true);


--
-- Name: addonkit_job_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.addonkit_job_id_seq', 4, true);


--
-- Name: addonkit_schedule_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.addonkit_schedule_id_seq', 1, true);


--
-- Name: addonkit_tenant_history_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.addonkit_tenant_history_id_seq', 16, true);


--
-- Name: addonkit_tenant_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.addonkit_tenant_id_seq', 6, true);


--
-- Name: addonkit_used_token_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.addonkit_used_token_id_seq', 15, true);


--
-- Name: issue_panel_item_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.issue_panel_item_id_seq', 6, true);


--
-- Name: macro_choice_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.macro_choice_id_seq', 1, false);


--
-- Name: macro_option_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.macro_option_id_seq', 1, false);


--
-- Name: macro_place_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.macro_place_id_seq', 1, false);


--
-- Name: macro_poll_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.macro_poll_id_seq', 1, false);


--
-- Name: macro_vote_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.macro_vote_id_seq', 1, false);


--
-- Name: tortoise_migrations_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.tortoise_migrations_id_seq', 7, true);


--
-- Name: addonkit_applied_release addonkit_applied_release_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.addonkit_applied_release
    ADD CONSTRAINT addonkit_applied_release_pkey PRIMARY KEY (id);


--
-- Name: addonkit_job addonkit_job_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.addonkit_job
    ADD CONSTRAINT addonkit_job_pkey PRIMARY KEY (id);


--
-- Name: addonkit_schedule addonkit_schedule_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.addonkit_schedule
    ADD CONSTRAINT addonkit_schedule_pkey PRIMARY KEY (id);


--
-- Name: addonkit_tenant addonkit_tenant_client_key_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.addonkit_tenant
    ADD CONSTRAINT addonkit_tenant_client_key_key UNIQUE (client_key);


--
-- Name: addonkit_tenant_history addonkit_tenant_history_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.addonkit_tenant_history
    ADD CONSTRAINT addonkit_tenant_history_pkey PRIMARY KEY (id);


--
-- Name: addonkit_tenant addonkit_tenant_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.addonkit_tenant
    ADD CONSTRAINT addonkit_tenant_pkey PRIMARY KEY (id);


--
-- Name: addonkit_used_token addonkit_used_token_digest_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.addonkit_used_token
    ADD CONSTRAINT addonkit_used_token_digest_key UNIQUE (digest);


--
-- Name: addonkit_used_token addonkit_used_token_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.addonkit_used_token
    ADD CONSTRAINT addonkit_used_token_pkey PRIMARY KEY (id);


--
-- Name: issue_panel_item issue_panel_item_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.issue_panel_item
    ADD CONSTRAINT issue_panel_item_pkey PRIMARY KEY (id);


--
-- Name: macro_choice macro_choice_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.macro_choice
    ADD CONSTRAINT macro_choice_pkey PRIMARY KEY (id);


--
-- Name: macro_option macro_option_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.macro_option
    ADD CONSTRAINT macro_option_pkey PRIMARY KEY (id);


--
-- Name: macro_place macro_place_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.macro_place
    ADD CONSTRAINT macro_place_pkey PRIMARY KEY (id);


--
-- Name: macro_poll macro_poll_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.macro_poll
    ADD CONSTRAINT macro_poll_pkey PRIMARY KEY (id);


--
-- Name: macro_vote macro_vote_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.macro_vote
    ADD CONSTRAINT macro_vote_pkey PRIMARY KEY (id);


--
-- Name: tortoise_migrations tortoise_migrations_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tortoise_migrations
    ADD CONSTRAINT tortoise_migrations_pkey PRIMARY KEY (id);


--
-- Name: addonkit_applied_release uid_addonkit_ap_app_nam_550b3b; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.addonkit_applied_release
    ADD CONSTRAINT uid_addonkit_ap_app_nam_550b3b UNIQUE (app_name, name);


--
-- Name: addonkit_schedule uid_addonkit_sc_plugin_8be5ab; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.addonkit_schedule
    ADD CONSTRAINT uid_addonkit_sc_plugin_8be5ab UNIQUE (plugin, name);


--
-- Name: macro_choice uid_macro_choic_vote_id_0bd84a; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.macro_choice
    ADD CONSTRAINT uid_macro_choic_vote_id_0bd84a UNIQUE (vote_id, option_id);


--
-- Name: macro_option uid_macro_optio_poll_id_62c642; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.macro_option
    ADD CONSTRAINT uid_macro_optio_poll_id_62c642 UNIQUE (poll_id, key);


--
-- Name: macro_place uid_macro_place_poll_id_137937; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.macro_place
    ADD CONSTRAINT uid_macro_place_poll_id_137937 UNIQUE (poll_id, content_id);


--
-- Name: macro_poll uid_macro_poll_tenant__8facff; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.macro_poll
    ADD CONSTRAINT uid_macro_poll_tenant__8facff UNIQUE (tenant_id, key);


--
-- Name: macro_poll uid_macro_poll_tenant__bf33f5; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.macro_poll
    ADD CONSTRAINT uid_macro_poll_tenant__bf33f5 UNIQUE (tenant_id, author_id, draft);


--
-- Name: macro_vote uid_macro_vote_poll_id_cb671b; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.macro_vote
    ADD CONSTRAINT uid_macro_vote_poll_id_cb671b UNIQUE (poll_id, account_id);


--
-- Name: tortoise_migrations uid_tortoise_mi_app_3803a5; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tortoise_migrations
    ADD CONSTRAINT uid_tortoise_mi_app_3803a5 UNIQUE (app, name);


--
-- Name: addonkit_job_dead; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX addonkit_job_dead ON public.addonkit_job USING btree (id) WHERE ((state)::text = 'dead'::text);


--
-- Name: addonkit_job_done; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX addonkit_job_done ON public.addonkit_job USING btree (finished_at) WHERE ((state)::text = 'done'::text);


--
-- Name: addonkit_job_held; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX addonkit_job_held ON public.addonkit_job USING btree (plugin) WHERE ((state)::text = 'held'::text);


--
-- Name: addonkit_job_once; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX addonkit_job_once ON public.addonkit_job USING btree (tenant_id, plugin, name, dedupe) WHERE (dedupe IS NOT NULL);


--
-- Name: addonkit_job_ordered; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX addonkit_job_ordered ON public.addonkit_job USING btree (tenant_id, plugin, order_key, id) WHERE ((order_key IS NOT NULL) AND ((state)::text = ANY ((ARRAY['waiting'::character varying, 'ready'::character varying, 'blocked'::character varying, 'held'::character varying, 'running'::character varying])::text[])));


--
-- Name: addonkit_job_ready; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX addonkit_job_ready ON public.addonkit_job USING btree (tenant_id, due_at, id) WHERE (((state)::text = 'ready'::text) AND (deaths = 0));


--
-- Name: addonkit_job_running; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX addonkit_job_running ON public.addonkit_job USING btree (tenant_id, lease_until) WHERE ((state)::text = 'running'::text);


--
-- Name: addonkit_job_suspect; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX addonkit_job_suspect ON public.addonkit_job USING btree (id) WHERE (((state)::text = 'ready'::text) AND (deaths > 0));


--
-- Name: addonkit_job_waiting; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX addonkit_job_waiting ON public.addonkit_job USING btree (due_at) WHERE ((state)::text = 'waiting'::text);


--
-- Name: idx_addonkit_jo_tenant__9ccdb0; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX idx_addonkit_jo_tenant__9ccdb0 ON public.addonkit_job USING btree (tenant_id);


--
-- Name: idx_addonkit_te_client__670066; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX idx_addonkit_te_client__670066 ON public.addonkit_tenant_history USING btree (client_key);


--
-- Name: idx_addonkit_te_tenant__52698f; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX idx_addonkit_te_tenant__52698f ON public.addonkit_tenant_history USING btree (tenant_id);


--
-- Name: idx_addonkit_us_expires_94eea0; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX idx_addonkit_us_expires_94eea0 ON public.addonkit_used_token USING btree (expires_at);


--
-- Name: idx_issue_panel_tenant__74e6b3; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX idx_issue_panel_tenant__74e6b3 ON public.issue_panel_item USING btree (tenant_id, issue_id);


--
-- Name: idx_issue_panel_tenant__f92a08; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX idx_issue_panel_tenant__f92a08 ON public.issue_panel_item USING btree (tenant_id);


--
-- Name: idx_macro_choic_option__349c9c; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX idx_macro_choic_option__349c9c ON public.macro_choice USING btree (option_id);


--
-- Name: idx_macro_choic_tenant__afd9c3; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX idx_macro_choic_tenant__afd9c3 ON public.macro_choice USING btree (tenant_id);


--
-- Name: idx_macro_optio_tenant__7d2132; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX idx_macro_optio_tenant__7d2132 ON public.macro_option USING btree (tenant_id);


--
-- Name: idx_macro_place_tenant__db5df5; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX idx_macro_place_tenant__db5df5 ON public.macro_place USING btree (tenant_id, content_id);


--
-- Name: idx_macro_place_tenant__ef06bd; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX idx_macro_place_tenant__ef06bd ON public.macro_place USING btree (tenant_id);


--
-- Name: idx_macro_poll_tenant__4dcd9c; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX idx_macro_poll_tenant__4dcd9c ON public.macro_poll USING btree (tenant_id);


--
-- Name: idx_macro_vote_tenant__f3f042; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX idx_macro_vote_tenant__f3f042 ON public.macro_vote USING btree (tenant_id);


--
-- Name: macro_choice macro_choice_option_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.macro_choice
    ADD CONSTRAINT macro_choice_option_id_fkey FOREIGN KEY (option_id) REFERENCES public.macro_option(id) ON DELETE CASCADE;


--
-- Name: macro_choice macro_choice_vote_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.macro_choice
    ADD CONSTRAINT macro_choice_vote_id_fkey FOREIGN KEY (vote_id) REFERENCES public.macro_vote(id) ON DELETE CASCADE;


--
-- Name: macro_option macro_option_poll_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.macro_option
    ADD CONSTRAINT macro_option_poll_id_fkey FOREIGN KEY (poll_id) REFERENCES public.macro_poll(id) ON DELETE CASCADE;


--
-- Name: macro_place macro_place_poll_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.macro_place
    ADD CONSTRAINT macro_place_poll_id_fkey FOREIGN KEY (poll_id) REFERENCES public.macro_poll(id) ON DELETE CASCADE;


--
-- Name: macro_vote macro_vote_poll_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.macro_vote
    ADD CONSTRAINT macro_vote_poll_id_fkey FOREIGN KEY (poll_id) REFERENCES public.macro_poll(id) ON DELETE CASCADE;


--
-- Name: issue_panel_item addonkit_tenant; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY addonkit_tenant ON public.issue_panel_item USING ((tenant_id = (NULLIF(current_setting('addonkit.tenant'::text, true), ''::text))::integer)) WITH CHECK ((tenant_id = (NULLIF(current_setting('addonkit.tenant'::text, true), ''::text))::integer));


--
-- Name: macro_choice addonkit_tenant; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY addonkit_tenant ON public.macro_choice USING ((tenant_id = (NULLIF(current_setting('addonkit.tenant'::text, true), ''::text))::integer)) WITH CHECK ((tenant_id = (NULLIF(current_setting('addonkit.tenant'::text, true), ''::text))::integer));


--
-- Name: macro_option addonkit_tenant; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY addonkit_tenant ON public.macro_option USING ((tenant_id = (NULLIF(current_setting('addonkit.tenant'::text, true), ''::text))::integer)) WITH CHECK ((tenant_id = (NULLIF(current_setting('addonkit.tenant'::text, true), ''::text))::integer));


--
-- Name: macro_place addonkit_tenant; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY addonkit_tenant ON public.macro_place USING ((tenant_id = (NULLIF(current_setting('addonkit.tenant'::text, true), ''::text))::integer)) WITH CHECK ((tenant_id = (NULLIF(current_setting('addonkit.tenant'::text, true), ''::text))::integer));


--
-- Name: macro_poll addonkit_tenant; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY addonkit_tenant ON public.macro_poll USING ((tenant_id = (NULLIF(current_setting('addonkit.tenant'::text, true), ''::text))::integer)) WITH CHECK ((tenant_id = (NULLIF(current_setting('addonkit.tenant'::text, true), ''::text))::integer));


--
-- Name: macro_vote addonkit_tenant; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY addonkit_tenant ON public.macro_vote USING ((tenant_id = (NULLIF(current_setting('addonkit.tenant'::text, true), ''::text))::integer)) WITH CHECK ((tenant_id = (NULLIF(current_setting('addonkit.tenant'::text, true), ''::text))::integer));


--
-- Name: issue_panel_item; Type: ROW SECURITY; Schema: public; Owner: -
--

ALTER TABLE public.issue_panel_item ENABLE ROW LEVEL SECURITY;

--
-- Name: macro_choice; Type: ROW SECURITY; Schema: public; Owner: -
--

ALTER TABLE public.macro_choice ENABLE ROW LEVEL SECURITY;

--
-- Name: macro_option; Type: ROW SECURITY; Schema: public; Owner: -
--

ALTER TABLE public.macro_option ENABLE ROW LEVEL SECURITY;

--
-- Name: macro_place; Type: ROW SECURITY; Schema: public; Owner: -
--

ALTER TABLE public.macro_place ENABLE ROW LEVEL SECURITY;

--
-- Name: macro_poll; Type: ROW SECURITY; Schema: public; Owner: -
--

ALTER TABLE public.macro_poll ENABLE ROW LEVEL SECURITY;

--
-- Name: macro_vote; Type: ROW SECURITY; Schema: public; Owner: -
--

ALTER TABLE public.macro_vote ENABLE ROW LEVEL SECURITY;

--
-- PostgreSQL database dump complete
--


