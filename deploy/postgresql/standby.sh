#!/bin/sh
# Prepares a primary for one synchronous standby. The image of PostgreSQL runs it on an empty volume, after roles.sql; the
# settings hold from the next start. Elsewhere: SECRETS=… PGDATA=… sh standby.sh, as a superuser, and restart the server.
set -eu
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres <<'SQL'
\set password `cat "${SECRETS:-/run/secrets}/replication_password"`
CREATE ROLE replicator LOGIN REPLICATION PASSWORD :'password';
-- Keeps what the standby has not copied yet, up to this size; a standby that was away for longer is built anew.
SELECT FROM pg_create_physical_replication_slot('standby');
ALTER SYSTEM SET max_slot_wal_keep_size = '10GB';
ALTER SYSTEM SET synchronous_standby_names = 'FIRST 1 (standby)';
SQL
echo "host replication replicator all scram-sha-256" >> "$PGDATA/pg_hba.conf"
