-- Creates the two roles of a deployment and its database. Run it once with psql as a superuser, before the first migration:
--     SECRETS=/etc/addonkit/secrets psql --set ON_ERROR_STOP=1 --file roles.sql
-- For another database than 'kit', add '--set database=NAME'; its roles are NAME_owner and NAME_application.
-- The image of PostgreSQL runs it on an empty volume. The owner creates tables and migrates. The application reads and
-- writes rows, and row-level security restricts it to one tenant at a time.
\set ON_ERROR_STOP on
\if :{?database}
\else
    \set database kit
\endif
\set owner :database _owner
\set application :database _application
\set owner_password `cat "${SECRETS:-/run/secrets}/owner_password"`
\set application_password `cat "${SECRETS:-/run/secrets}/application_password"`

CREATE ROLE :"owner" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS PASSWORD :'owner_password';
CREATE ROLE :"application" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS PASSWORD :'application_password';
CREATE DATABASE :"database" OWNER :"owner" TEMPLATE template0 ENCODING 'UTF8';
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"database" TO :"application";

\connect :"database"
ALTER SCHEMA public OWNER TO :"owner";
REVOKE ALL ON SCHEMA public FROM PUBLIC;
