BEGIN TRANSACTION;
CREATE TABLE "addonkit_applied_release" (
    "id" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    "app_name" VARCHAR(100) NOT NULL,
    "name" VARCHAR(255) NOT NULL,
    "distribution" VARCHAR(200) NOT NULL,
    "version" VARCHAR(100) NOT NULL,
    "at" TIMESTAMP NOT NULL,
    CONSTRAINT "uid_addonkit_ap_app_nam_550b3b" UNIQUE ("app_name", "name")
);
INSERT INTO "addonkit_applied_release" VALUES(1,'addonkit','0001_initial','addonkit','0.1.0','2026-11-27 16:57:08.694022+00:00');
INSERT INTO "addonkit_applied_release" VALUES(2,'addonkit','0002_history_and_releases','addonkit','0.1.0','2026-11-27 16:57:08.694401+00:00');
INSERT INTO "addonkit_applied_release" VALUES(3,'addonkit','0003_jobs','addonkit','0.1.0','2026-11-27 16:57:08.694601+00:00');
INSERT INTO "addonkit_applied_release" VALUES(4,'addonkit','0004_schedules_in_steps','addonkit','0.1.0','2026-11-27 16:57:08.698858+00:00');
INSERT INTO "addonkit_applied_release" VALUES(5,'issue_panel','0001_initial','addonkit-issue-panel','0.1.0','2026-11-27 16:57:08.698899+00:00');
INSERT INTO "addonkit_applied_release" VALUES(6,'macro','0001_initial','addonkit-macro','0.1.0','2026-11-27 16:57:08.698915+00:00');
INSERT INTO "addonkit_applied_release" VALUES(7,'macro','0002_places','addonkit-macro','0.1.0','2026-11-27 16:57:08.698925+00:00');
CREATE TABLE "addonkit_job" (
    "id" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    "tenant_id" INT NOT NULL,
    "plugin" VARCHAR(100) NOT NULL,
    "name" VARCHAR(100) NOT NULL,
    "kind" VARCHAR(12) NOT NULL,
    "payload" BLOB NOT NULL,
    "version" INT NOT NULL,
    "facts" TEXT NOT NULL,
    "dedupe" VARCHAR(255),
    "order_key" VARCHAR(255),
    "state" VARCHAR(8) NOT NULL,
    "due_at" REAL NOT NULL,
    "starts" INT NOT NULL,
    "failures" INT NOT NULL,
    "deaths" INT NOT NULL,
    "worker" VARCHAR(64),
    "lease_until" REAL,
    "error" TEXT,
    "created_at" REAL NOT NULL,
    "finished_at" REAL
);
INSERT INTO "addonkit_job" VALUES(1,1,'issue_panel','forget_issue','webhook',X'7B2274696D657374616D70223A20312C2022776562686F6F6B4576656E74223A20226A6972613A69737375655F64656C65746564222C20226973737565223A207B226964223A20223130303031222C20226B6579223A202241422D31227D7D',1,'{"objects":{"issue_id":"10001"},"identifier":"delivery-1","retry":0,"flow":"Primary"}','delivery-1','forget_issue:10001','ready',1.79579863041097950934e+09,0,0,0,NULL,NULL,NULL,1.79579863041097950934e+09,NULL);
INSERT INTO "addonkit_job" VALUES(2,1,'macro','work','job','{}',1,'{}',NULL,NULL,'held',5.5,1,1,0,NULL,NULL,NULL,1.0,NULL);
INSERT INTO "addonkit_job" VALUES(3,1,'macro','addon_installed','job','{}',1,'{}',NULL,NULL,'dead',5.5,1,1,0,NULL,NULL,NULL,1.0,NULL);
INSERT INTO "addonkit_job" VALUES(4,1,'macro','work','job','{}',1,'{}',NULL,NULL,'waiting',5.5,1,1,0,NULL,NULL,NULL,1.0,NULL);
CREATE TABLE "addonkit_schedule" (
    "id" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    "plugin" VARCHAR(100) NOT NULL,
    "name" VARCHAR(100) NOT NULL,
    "rule" VARCHAR(100) NOT NULL,
    "next_at" REAL NOT NULL,
    "last_at" REAL, "reached" INT,
    CONSTRAINT "uid_addonkit_sc_plugin_8be5ab" UNIQUE ("plugin", "name")
);
INSERT INTO "addonkit_schedule" VALUES(1,'addonkit','purge','6h',1.0,NULL,NULL);
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
, "note" TEXT);
INSERT INTO "addonkit_tenant" VALUES(1,'site-jira','jira','http://127.0.0.1:9000','http://127.0.0.1:9000','oauth-1','ari:cloud:ecosystem::installation/0d1f','v1.first.QDlki6WQA5SYpHbl8eM-lf-Djf0s1VXGHeXA-xN6vZy-F4EkiupEqPCp62WSt1XhJq3yk59NfJq5NoOtLVu94y-TcbfdGwZg9etVI7fST1CJN8_iuuyVjcUh-OQ=',NULL,NULL,'enabled',1795798628,'2026-11-27 16:57:08.977735+00:00','2026-11-27 16:57:08.993418+00:00',NULL,'invoice 4711');
INSERT INTO "addonkit_tenant" VALUES(2,'site-wiki','confluence','http://127.0.0.1:9000/wiki','http://127.0.0.1:9000/wiki','4f6a7a7f-1b3a-4e72-8109-d014f31de4c2',NULL,'v1.first.091e8xWvdjyEtcs-OfbtbFHxUSBV0bbDmspqYh3mT9tMHjJMzRf2_hoKdyaozqO1WYK367hcAASYBmJOqiXIBywVNViQrrAuYgZKa8CV1DPAZxtDk2boJrMoYKk=',NULL,NULL,'enabled',1795798628,'2026-11-27 16:57:08.998835+00:00','2026-11-27 16:57:09.003765+00:00',NULL,NULL);
INSERT INTO "addonkit_tenant" VALUES(3,'site-gone','jira','http://127.0.0.1:9002','http://127.0.0.1:9002','a1635eca-a83f-4b73-bb10-d4099a2ae3cf',NULL,'v1.first.PWkaMmZN0PDq1yTRv3JG3cwK-LAnZk_dJUzvyyseXtilmAYf2DcBeLgZBoFIaX-4ZwoRlAd0pGJ4RtPr4xPxyoDlYyKOd_esVxtkkUK9P3EF0nJlV3e1LPbX8P8=',NULL,NULL,'uninstalled',1795798630,'2026-11-27 16:57:09.009547+00:00','2026-11-27 16:57:10.400107+00:00','2026-11-27 16:57:10.399882+00:00',NULL);
INSERT INTO "addonkit_tenant" VALUES(4,'site-off','jira','http://127.0.0.1:9003','http://127.0.0.1:9003','89511c9f-a856-4d5e-82d7-dcefefa6adfe',NULL,'v1.first.i7xpzf3vYu345ypLzCjSh-gWBVlIvugh6NjmPtgw2cjKDLHfC0t_wK2VZDlUQESgC1Chk4u7pNZx94q1yTbbd9-T4bC0Z0n_5AhWp9ZVzI7ZvWXatK7wu6AaKWo=',NULL,NULL,'disabled',1795798629,'2026-11-27 16:57:09.024752+00:00','2026-11-27 16:57:10.383412+00:00',NULL,NULL);
INSERT INTO "addonkit_tenant" VALUES(5,'site-rotated','jira','http://127.0.0.1:9004','http://127.0.0.1:9004','eb4c7202-b3b5-4ba9-b687-b21a53a8abcf',NULL,'v1.second.CTdbzfbMc_AKvJAixkDSHdwZA08DhMLk6EfevdMja0FYo1DPCbfk5aspniAcrJCiNPG14YjEPuqNwD7FcSK6oXOxI4XBDePGJXOCRrEYwL9zahQFbxaUk2R3dnM=','v1.second.qx6bbed-rSr3QxSGlpTOfXP_BadpWVB1gKTsttaG1P-D7SdhWyEm6fYhP8q35ixeoIcgZQh_KfO9QD5DsNy9U9yaPZ-ho6YIPkmZyHJjyLBrNUvIff8Vd5Z3TQ0=',2.42651863030065059658e+09,'enabled',1795798630,'2026-11-27 16:57:09.035300+00:00','2026-11-27 16:57:10.300717+00:00',NULL,NULL);
INSERT INTO "addonkit_tenant" VALUES(6,'site-lonely','confluence','http://127.0.0.1:9005/wiki','http://127.0.0.1:9005/wiki','2bfbfd6d-eb00-4b66-aedd-d011c1b66005',NULL,'v1.first.IP7MxUOGN-z0wJBgkh6ck2WWcgkJI7lHuoesfZaaya9LUAohUroepPoga0653sLGpFKDj1eIB_sVaHJ88KlFeiomTVgDLQZgTHIKj4r3DsEjnOMlZxhpdXoIbvg=',NULL,NULL,'enabled',1795798629,'2026-11-27 16:57:09.054083+00:00','2026-11-27 16:57:09.064965+00:00',NULL,NULL);
CREATE TABLE "addonkit_tenant_history" (
    "id" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    "tenant_id" INT NOT NULL,
    "at" TIMESTAMP NOT NULL,
    "what" VARCHAR(32) NOT NULL,
    "client_key" VARCHAR(255) NOT NULL,
    "base_url" TEXT NOT NULL,
    "detail" TEXT NOT NULL
);
INSERT INTO "addonkit_tenant_history" VALUES(1,1,'2026-11-27 16:57:08.978062+00:00','installed','site-jira','http://127.0.0.1:9000','');
INSERT INTO "addonkit_tenant_history" VALUES(2,1,'2026-11-27 16:57:08.994318+00:00','enabled','site-jira','http://127.0.0.1:9000','');
INSERT INTO "addonkit_tenant_history" VALUES(3,2,'2026-11-27 16:57:08.998965+00:00','installed','site-wiki','http://127.0.0.1:9000/wiki','');
INSERT INTO "addonkit_tenant_history" VALUES(4,2,'2026-11-27 16:57:09.004527+00:00','enabled','site-wiki','http://127.0.0.1:9000/wiki','');
INSERT INTO "addonkit_tenant_history" VALUES(5,3,'2026-11-27 16:57:09.010423+00:00','installed','site-gone','http://127.0.0.1:9002','');
INSERT INTO "addonkit_tenant_history" VALUES(6,3,'2026-11-27 16:57:09.020140+00:00','enabled','site-gone','http://127.0.0.1:9002','');
INSERT INTO "addonkit_tenant_history" VALUES(7,4,'2026-11-27 16:57:09.024887+00:00','installed','site-off','http://127.0.0.1:9003','');
INSERT INTO "addonkit_tenant_history" VALUES(8,4,'2026-11-27 16:57:09.030156+00:00','enabled','site-off','http://127.0.0.1:9003','');
INSERT INTO "addonkit_tenant_history" VALUES(9,5,'2026-11-27 16:57:09.035634+00:00','installed','site-rotated','http://127.0.0.1:9004','');
INSERT INTO "addonkit_tenant_history" VALUES(10,5,'2026-11-27 16:57:09.041857+00:00','enabled','site-rotated','http://127.0.0.1:9004','');
INSERT INTO "addonkit_tenant_history" VALUES(11,6,'2026-11-27 16:57:09.054234+00:00','installed','site-lonely','http://127.0.0.1:9005/wiki','');
INSERT INTO "addonkit_tenant_history" VALUES(12,6,'2026-11-27 16:57:09.065595+00:00','enabled','site-lonely','http://127.0.0.1:9005/wiki','');
INSERT INTO "addonkit_tenant_history" VALUES(13,5,'2026-11-27 16:57:10.301019+00:00','rotated','site-rotated','http://127.0.0.1:9004','');
INSERT INTO "addonkit_tenant_history" VALUES(14,1,'2026-11-27 16:57:10.368812+00:00','noted','site-jira','http://127.0.0.1:9000','written');
INSERT INTO "addonkit_tenant_history" VALUES(15,4,'2026-11-27 16:57:10.383527+00:00','disabled','site-off','http://127.0.0.1:9003','');
INSERT INTO "addonkit_tenant_history" VALUES(16,3,'2026-11-27 16:57:10.399897+00:00','uninstalled','site-gone','http://127.0.0.1:9002','');
CREATE TABLE "addonkit_used_token" (
    "id" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    "digest" VARCHAR(64) NOT NULL UNIQUE,
    "expires_at" BIGINT NOT NULL
);
INSERT INTO "addonkit_used_token" VALUES(1,'05a7c63ba6ec52f8b167d061faea38af0ad44f12cc7aeec005bfaa48dc2fe6a7',1795798808);
INSERT INTO "addonkit_used_token" VALUES(2,'69e2f51535dea9e1f76cb29e64712295fcb302ae49f1f00d02168b8508c1eeac',1795798808);
INSERT INTO "addonkit_used_token" VALUES(3,'8a47cbcf30ee9a16eaf933c84119efbeb821b9cc7fddab3e998673af8d2e5639',1795798808);
INSERT INTO "addonkit_used_token" VALUES(4,'fd8c2d7f7d5c5b63e09ec2f37442aca22d7de8cf0e6ee51b42ba5524fb842a92',1795798809);
INSERT INTO "addonkit_used_token" VALUES(5,'a6a38057f5cb806011ec74bc03cf7631bbdaee4cf405908bea8333c17d16f0f6',1795798809);
INSERT INTO "addonkit_used_token" VALUES(6,'b9343bec82c9c080a162b50efdf033e0157bbd8bd5be6c6d78cd5da44f8fe78d',1795798809);
INSERT INTO "addonkit_used_token" VALUES(7,'3199b8381886e9fc18f3510b561fce740f29a17744369e4b85257a61c36857d5',1795798809);
INSERT INTO "addonkit_used_token" VALUES(8,'114b9b6be4aba14065ce68b6e312121163b6e3eaf489122645cfc8a9b525a2a5',1795798809);
INSERT INTO "addonkit_used_token" VALUES(9,'7318ac3f0768f0b792cb92f3e2c3f794e482a74c7bca0d24b42733d4e8944094',1795798809);
INSERT INTO "addonkit_used_token" VALUES(10,'dda1c9d8aea1b399a7b281a4af7b2045a7954bd5487240f51afce84840597bf3',1795798809);
INSERT INTO "addonkit_used_token" VALUES(11,'0eafee7e79f97a52202200f316b99c1b8fcf0fdfd514522fc8909be1867dbaed',1795798809);
INSERT INTO "addonkit_used_token" VALUES(12,'52bca675623ec7fcf138fdaa58b07c719d45dba42e19698d0159d9065c517e12',1795798809);
INSERT INTO "addonkit_used_token" VALUES(13,'6d61d56fa2d1a6ba8d5fe6115cf0fb0c3e7fe905ec00db2a7f64df4f7a3e710b',1795798810);
INSERT INTO "addonkit_used_token" VALUES(14,'9b8a0b4221e71991c5c1dd5363485f7cd7b6b2078c14da5e27e326613c503869',1795798810);
INSERT INTO "addonkit_used_token" VALUES(15,'8bfd84dbd82c837855d8f325d7cdea954545e3b98b5528e9f59bbc37cbeaea9a',1795798810);
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
INSERT INTO "issue_panel_item" VALUES(1,1,'10001','Buy paint; and ''brushes''',0,1024,1,'ann','2026-11-27 16:57:10.307458+00:00',NULL,NULL,NULL,NULL);
INSERT INTO "issue_panel_item" VALUES(1,2,'10001','Paint the wall',0,2048,1,'ann','2026-11-27 16:57:10.311078+00:00',NULL,NULL,NULL,NULL);
INSERT INTO "issue_panel_item" VALUES(1,3,'10001','Żółć – 漆',0,3072,1,'ann','2026-11-27 16:57:10.311861+00:00',NULL,NULL,NULL,NULL);
INSERT INTO "issue_panel_item" VALUES(3,4,'10001','Another site''s',0,1024,1,'ann','2026-11-27 16:57:10.331765+00:00',NULL,NULL,NULL,NULL);
INSERT INTO "issue_panel_item" VALUES(4,5,'10001','Off',0,1024,1,'ann','2026-11-27 16:57:10.343247+00:00',NULL,NULL,NULL,NULL);
INSERT INTO "issue_panel_item" VALUES(5,6,'10001','Rotated',0,1024,1,'ann','2026-11-27 16:57:10.351904+00:00',NULL,NULL,NULL,NULL);
CREATE TABLE "macro_choice" (
    "tenant_id" INT NOT NULL,
    "id" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    "option_id" BIGINT NOT NULL REFERENCES "macro_option" ("id") ON DELETE CASCADE,
    "vote_id" BIGINT NOT NULL REFERENCES "macro_vote" ("id") ON DELETE CASCADE,
    CONSTRAINT "uid_macro_choic_vote_id_0bd84a" UNIQUE ("vote_id", "option_id")
);
CREATE TABLE "macro_option" (
    "tenant_id" INT NOT NULL,
    "id" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    "key" VARCHAR(32) NOT NULL,
    "text" VARCHAR(120) NOT NULL,
    "position" SMALLINT NOT NULL,
    "poll_id" BIGINT NOT NULL REFERENCES "macro_poll" ("id") ON DELETE CASCADE,
    CONSTRAINT "uid_macro_optio_poll_id_62c642" UNIQUE ("poll_id", "key")
);
CREATE TABLE "macro_place" (
    "tenant_id" INT NOT NULL,
    "id" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    "content_id" VARCHAR(64) NOT NULL,
    "poll_id" BIGINT NOT NULL REFERENCES "macro_poll" ("id") ON DELETE CASCADE,
    CONSTRAINT "uid_macro_place_poll_id_137937" UNIQUE ("poll_id", "content_id")
);
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
CREATE TABLE "macro_vote" (
    "tenant_id" INT NOT NULL,
    "id" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    "account_id" VARCHAR(128) NOT NULL,
    "cast_at" TIMESTAMP NOT NULL,
    "poll_id" BIGINT NOT NULL REFERENCES "macro_poll" ("id") ON DELETE CASCADE,
    CONSTRAINT "uid_macro_vote_poll_id_cb671b" UNIQUE ("poll_id", "account_id")
);
CREATE TABLE "tortoise_migrations" (
    "id" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    "app" VARCHAR(255) NOT NULL,
    "name" VARCHAR(255) NOT NULL,
    "applied_at" TIMESTAMP NOT NULL,
    CONSTRAINT "uid_tortoise_mi_app_3803a5" UNIQUE ("app", "name")
);
INSERT INTO "tortoise_migrations" VALUES(1,'addonkit','0001_initial','2026-11-27 16:57:08.043224+00:00');
INSERT INTO "tortoise_migrations" VALUES(2,'addonkit','0002_history_and_releases','2026-11-27 16:57:08.062216+00:00');
INSERT INTO "tortoise_migrations" VALUES(3,'addonkit','0003_jobs','2026-11-27 16:57:08.164030+00:00');
INSERT INTO "tortoise_migrations" VALUES(4,'addonkit','0004_schedules_in_steps','2026-11-27 16:57:08.172366+00:00');
INSERT INTO "tortoise_migrations" VALUES(5,'issue_panel','0001_initial','2026-11-27 16:57:08.183538+00:00');
INSERT INTO "tortoise_migrations" VALUES(6,'macro','0001_initial','2026-11-27 16:57:08.675103+00:00');
INSERT INTO "tortoise_migrations" VALUES(7,'macro','0002_places','2026-11-27 16:57:08.693387+00:00');
CREATE INDEX "idx_addonkit_us_expires_94eea0" ON "addonkit_used_token" ("expires_at");
CREATE INDEX "idx_addonkit_te_tenant__52698f" ON "addonkit_tenant_history" ("tenant_id");
CREATE INDEX "idx_addonkit_te_client__670066" ON "addonkit_tenant_history" ("client_key");
CREATE INDEX "idx_addonkit_jo_tenant__9ccdb0" ON "addonkit_job" ("tenant_id");
CREATE INDEX addonkit_job_ready ON addonkit_job (tenant_id, due_at, id) WHERE state = 'ready' AND deaths = 0;
CREATE INDEX addonkit_job_suspect ON addonkit_job (id) WHERE state = 'ready' AND deaths > 0;
CREATE INDEX addonkit_job_waiting ON addonkit_job (due_at) WHERE state = 'waiting';
CREATE INDEX addonkit_job_running ON addonkit_job (tenant_id, lease_until) WHERE state = 'running';
CREATE INDEX addonkit_job_held ON addonkit_job (plugin) WHERE state = 'held';
CREATE INDEX addonkit_job_ordered ON addonkit_job (tenant_id, plugin, order_key, id) WHERE order_key IS NOT NULL AND state IN ('waiting', 'ready', 'blocked', 'held', 'running');
CREATE INDEX addonkit_job_done ON addonkit_job (finished_at) WHERE state = 'done';
CREATE INDEX addonkit_job_dead ON addonkit_job (id) WHERE state = 'dead';
CREATE UNIQUE INDEX addonkit_job_once ON addonkit_job (tenant_id, plugin, name, dedupe) WHERE dedupe IS NOT NULL;
CREATE INDEX "idx_issue_panel_tenant__f92a08" ON "issue_panel_item" ("tenant_id");
CREATE INDEX "idx_issue_panel_tenant__74e6b3" ON "issue_panel_item" ("tenant_id", "issue_id");
CREATE INDEX "idx_macro_poll_tenant__4dcd9c" ON "macro_poll" ("tenant_id");
CREATE INDEX "idx_macro_optio_tenant__7d2132" ON "macro_option" ("tenant_id");
CREATE INDEX "idx_macro_vote_tenant__f3f042" ON "macro_vote" ("tenant_id");
CREATE INDEX "idx_macro_choic_tenant__afd9c3" ON "macro_choice" ("tenant_id");
CREATE INDEX "idx_macro_choic_option__349c9c" ON "macro_choice" ("option_id");
CREATE INDEX "idx_macro_place_tenant__ef06bd" ON "macro_place" ("tenant_id");
CREATE INDEX "idx_macro_place_tenant__db5df5" ON "macro_place" ("tenant_id", "content_id");
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('tortoise_migrations',7);
INSERT INTO "sqlite_sequence" VALUES('addonkit_applied_release',7);
INSERT INTO "sqlite_sequence" VALUES('addonkit_used_token',15);
INSERT INTO "sqlite_sequence" VALUES('addonkit_tenant',6);
INSERT INTO "sqlite_sequence" VALUES('addonkit_tenant_history',16);
INSERT INTO "sqlite_sequence" VALUES('issue_panel_item',6);
INSERT INTO "sqlite_sequence" VALUES('addonkit_job',4);
INSERT INTO "sqlite_sequence" VALUES('addonkit_schedule',1);
COMMIT;
