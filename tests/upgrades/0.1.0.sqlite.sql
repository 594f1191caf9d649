BEGIN TRANSACTION;
CREATE TABLE "addonkit_lifecycle_notice" (
    "id" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    "tenant_id" INT NOT NULL,
    "plugin" VARCHAR(100) NOT NULL,
    "event" VARCHAR(32) NOT NULL,
    "is_first" INT NOT NULL,
    "at" TIMESTAMP NOT NULL,
    "attempts" INT NOT NULL,
    "due_at" REAL NOT NULL,
    "error" TEXT,
    "created_at" TIMESTAMP NOT NULL
);
CREATE TABLE "addonkit_tenant" (
    "id" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    "client_key" VARCHAR(255) NOT NULL UNIQUE,
    "product" VARCHAR(32) NOT NULL,
    "base_url" TEXT NOT NULL,
    "display_url" TEXT NOT NULL,
    "oauth_client_id" TEXT,
    "installation_id" TEXT,
    "shared_secret" TEXT,
    "former_secret" TEXT,
    "former_until" REAL,
    "state" VARCHAR(16) NOT NULL,
    "installed_iat" BIGINT NOT NULL,
    "created_at" TIMESTAMP NOT NULL,
    "updated_at" TIMESTAMP NOT NULL,
    "uninstalled_at" TIMESTAMP
);
INSERT INTO "addonkit_tenant" VALUES(1,'site-jira','jira','http://127.0.0.1:9000','http://127.0.0.1:9000',NULL,NULL,'v1.first.ZAMRggb9TcNhCvG5mbShlYacwtCNnl2JtU8L2uSpC6h2IICyVbkKAXwotflTD5z7ZdpikHH5xHJUdHpud3RwWW_gY2Ey6spzN9V4ILxzo5y1yoCnVuj4RSvO18E=',NULL,NULL,'enabled',1795474514,'2026-11-23 22:55:15.029492+00:00','2026-11-23 22:55:15.216496+00:00',NULL);
INSERT INTO "addonkit_tenant" VALUES(2,'site-wiki','confluence','http://127.0.0.1:9000/wiki','http://127.0.0.1:9000/wiki',NULL,NULL,'v1.first.K_5Ti2KTojkl5ul68XbEi-UA7cbwl2nMXsSkyEITzmcqp_Aa8WEAZTRIGDq65JRVgS7isSAydqkuHavPLlU1FQtQ4k7zNqAt1CyF1L0GTLH93xjsci7v9ejEXp8=',NULL,NULL,'enabled',1795474515,'2026-11-23 22:55:15.228429+00:00','2026-11-23 22:55:15.239430+00:00',NULL);
INSERT INTO "addonkit_tenant" VALUES(3,'site-gone','jira','http://127.0.0.1:9002','http://127.0.0.1:9002',NULL,NULL,'v1.first.PcNCTq6ae_8HsHI5JQDiCCpKiqKtJWFvJCi_9FwpW7505iOhWSbVJfe5z48m4WykPDTYtJJgQaf5lD2pusKlb2kka-wcQ8u_LyHB0xwOwfVmSBwsfvYRZcWTBDk=',NULL,NULL,'uninstalled',1795474516,'2026-11-23 22:55:15.248335+00:00','2026-11-23 22:55:16.203067+00:00','2026-11-23 22:55:16.202958+00:00');
CREATE TABLE "addonkit_used_token" (
    "id" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    "digest" VARCHAR(64) NOT NULL UNIQUE,
    "expires_at" BIGINT NOT NULL
);
INSERT INTO "addonkit_used_token" VALUES(1,'6cf11601ffffa22cfb0d19d80847ace9cb3e4fc1318eaa2ee96c2f0d81972a85',1795474694);
INSERT INTO "addonkit_used_token" VALUES(2,'b433f6ad72fd179e96a54bde0d056250ddcf00667d3923a975d0d2f07e801f48',1795474695);
INSERT INTO "addonkit_used_token" VALUES(3,'5fbac7dc2389cc063e422d10e2439cdd5050e675819bfeb8139cfb308c2e6d00',1795474695);
INSERT INTO "addonkit_used_token" VALUES(4,'40f5a192fd1f376af7a54c6139eaa8012fe03e7c076df5491cb82406d3c42840',1795474695);
INSERT INTO "addonkit_used_token" VALUES(5,'edf935db2369f18ce94ed7be7571717137358757d0b849099c2f661156eb6a79',1795474695);
INSERT INTO "addonkit_used_token" VALUES(6,'3176767b06248c69d2a37f1166550d7e6fc95f7741a404250e5019dcd315ca64',1795474695);
INSERT INTO "addonkit_used_token" VALUES(7,'ba14ccc65e339830bda8a6a1f41f419a1683f45857c062469c619562e65d0666',1795474696);
CREATE TABLE "issue_panel_item" (
    "tenant_id" INT NOT NULL,
    "id" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    "issue_id" VARCHAR(64) NOT NULL,
    "text" VARCHAR(500) NOT NULL,
    "done" INT NOT NULL,
    "rank" BIGINT NOT NULL,
    "version" INT NOT NULL,
    "created_by" VARCHAR(128) NOT NULL,
    "created_at" TIMESTAMP NOT NULL,
    "done_by" VARCHAR(128),
    "done_at" TIMESTAMP,
    "edited_by" VARCHAR(128),
    "edited_at" TIMESTAMP
);
INSERT INTO "issue_panel_item" VALUES(1,1,'10001','Buy paint; and ''brushes''',0,0,1,'acc-1','2026-11-23 22:55:15.522611+00:00',NULL,NULL,NULL,NULL);
INSERT INTO "issue_panel_item" VALUES(1,2,'10001','Paint the wall',0,1024,1,'acc-1','2026-11-23 22:55:15.587371+00:00',NULL,NULL,NULL,NULL);
INSERT INTO "issue_panel_item" VALUES(1,3,'10001','Żółć – 漆',0,2048,1,'acc-1','2026-11-23 22:55:15.606586+00:00',NULL,NULL,NULL,NULL);
INSERT INTO "issue_panel_item" VALUES(3,4,'10001','Another site''s',0,0,1,'acc-1','2026-11-23 22:55:15.644190+00:00',NULL,NULL,NULL,NULL);
CREATE TABLE "macro_choice" (
    "tenant_id" INT NOT NULL,
    "id" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    "option_id" BIGINT NOT NULL REFERENCES "macro_option" ("id") ON DELETE CASCADE,
    "vote_id" BIGINT NOT NULL REFERENCES "macro_vote" ("id") ON DELETE CASCADE,
    CONSTRAINT "uid_macro_choic_vote_id_0bd84a" UNIQUE ("vote_id", "option_id")
);
INSERT INTO "macro_choice" VALUES(2,1,1,1);
INSERT INTO "macro_choice" VALUES(2,2,1,2);
INSERT INTO "macro_choice" VALUES(2,3,2,3);
CREATE TABLE "macro_option" (
    "tenant_id" INT NOT NULL,
    "id" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    "key" VARCHAR(32) NOT NULL,
    "text" VARCHAR(120) NOT NULL,
    "position" SMALLINT NOT NULL,
    "poll_id" BIGINT NOT NULL REFERENCES "macro_poll" ("id") ON DELETE CASCADE,
    CONSTRAINT "uid_macro_optio_poll_id_62c642" UNIQUE ("poll_id", "key")
);
INSERT INTO "macro_option" VALUES(2,1,'017979e8299034d8c481af1f282eb32a','Tea',0,1);
INSERT INTO "macro_option" VALUES(2,2,'b0e1f06cf1e7d466ee3048ebef45d85b','Coffee',1,1);
CREATE TABLE "macro_poll" (
    "tenant_id" INT NOT NULL,
    "id" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    "key" VARCHAR(32) NOT NULL,
    "question" VARCHAR(300) NOT NULL,
    "several" INT NOT NULL,
    "closes_at" TIMESTAMP,
    "author_id" VARCHAR(128) NOT NULL,
    "draft" VARCHAR(32) NOT NULL,
    "revision" INT NOT NULL,
    "created_at" TIMESTAMP NOT NULL,
    CONSTRAINT "uid_macro_poll_tenant__8facff" UNIQUE ("tenant_id", "key"),
    CONSTRAINT "uid_macro_poll_tenant__bf33f5" UNIQUE ("tenant_id", "author_id", "draft")
);
INSERT INTO "macro_poll" VALUES(2,1,'bf9c8f98440c7daa4278ee9426634938','Tea or coffee?',0,NULL,'author','694018943365710520803a9970c20af0',1,'2026-11-23 22:55:15.778937+00:00');
CREATE TABLE "macro_vote" (
    "tenant_id" INT NOT NULL,
    "id" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    "account_id" VARCHAR(128) NOT NULL,
    "cast_at" TIMESTAMP NOT NULL,
    "poll_id" BIGINT NOT NULL REFERENCES "macro_poll" ("id") ON DELETE CASCADE,
    CONSTRAINT "uid_macro_vote_poll_id_cb671b" UNIQUE ("poll_id", "account_id")
);
INSERT INTO "macro_vote" VALUES(2,1,'ann','2026-11-23 22:55:15.952665+00:00',1);
INSERT INTO "macro_vote" VALUES(2,2,'bob','2026-11-23 22:55:16.117185+00:00',1);
INSERT INTO "macro_vote" VALUES(2,3,'cem','2026-11-23 22:55:16.171326+00:00',1);
CREATE TABLE "tortoise_migrations" (
    "id" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    "app" VARCHAR(255) NOT NULL,
    "name" VARCHAR(255) NOT NULL,
    "applied_at" TIMESTAMP NOT NULL,
    CONSTRAINT "uid_tortoise_mi_app_3803a5" UNIQUE ("app", "name")
);
INSERT INTO "tortoise_migrations" VALUES(1,'addonkit','0001_initial','2026-11-23 22:55:14.453680+00:00');
INSERT INTO "tortoise_migrations" VALUES(2,'issue_panel','0001_initial','2026-11-23 22:55:14.487874+00:00');
INSERT INTO "tortoise_migrations" VALUES(3,'macro','0001_initial','2026-11-23 22:55:14.653702+00:00');
CREATE INDEX "idx_addonkit_li_tenant__85c402" ON "addonkit_lifecycle_notice" ("tenant_id");
CREATE INDEX "idx_addonkit_li_due_at_9518a4" ON "addonkit_lifecycle_notice" ("due_at");
CREATE INDEX "idx_addonkit_us_expires_94eea0" ON "addonkit_used_token" ("expires_at");
CREATE INDEX "idx_issue_panel_tenant__f92a08" ON "issue_panel_item" ("tenant_id");
CREATE INDEX "idx_issue_panel_tenant__74e6b3" ON "issue_panel_item" ("tenant_id", "issue_id");
CREATE INDEX "idx_macro_poll_tenant__4dcd9c" ON "macro_poll" ("tenant_id");
CREATE INDEX "idx_macro_optio_tenant__7d2132" ON "macro_option" ("tenant_id");
CREATE INDEX "idx_macro_vote_tenant__f3f042" ON "macro_vote" ("tenant_id");
CREATE INDEX "idx_macro_choic_tenant__afd9c3" ON "macro_choice" ("tenant_id");
CREATE INDEX "idx_macro_choic_option__349c9c" ON "macro_choice" ("option_id");
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('tortoise_migrations',3);
INSERT INTO "sqlite_sequence" VALUES('addonkit_used_token',7);
INSERT INTO "sqlite_sequence" VALUES('addonkit_tenant',3);
INSERT INTO "sqlite_sequence" VALUES('issue_panel_item',4);
INSERT INTO "sqlite_sequence" VALUES('macro_poll',1);
INSERT INTO "sqlite_sequence" VALUES('macro_option',2);
INSERT INTO "sqlite_sequence" VALUES('macro_vote',3);
INSERT INTO "sqlite_sequence" VALUES('macro_choice',3);
COMMIT;
