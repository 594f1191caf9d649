-- Creates the two roles of a deployment and its database. Run it once with psql as a superuser, before the first migration:
--     SECRETS=/etc/addonkit/secrets psql --set ON_ERROR_STOP=1 --file roles.sql
-- The image of PostgreSQL runs it on an empty volume. The owner creates tables and migrates. The application reads and
-- writes rows, and row-level security restricts it to one tenant at a time.
\set ON_ERROR_STOP on
\set owner_password `cat "${SECRETS:-/run/secrets}/owner_password"`
\set application_password `cat "${SECRETS:-/run/secrets}/application_password"`

CREATE ROLE kit_owner LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS PASSWORD :'owner_password';
CREATE ROLE kit_application LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS PASSWORD :'application_password';
CREATE DATABASE kit OWNER kit_owner TEMPLATE template0 ENCODING 'UTF8';
REVOKE ALL ON DATABASE kit FROM PUBLIC;
GRANT CONNECT ON DATABASE kit TO kit_application;

\connect kit
ALTER SCHEMA public OWNER TO kit_owner;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
