-- The hub's own statements: schema, ingest, incidents, outbox, documents, site. The API's stand in queries_api.sql.

-- migration_lock --
-- One hub at a time changes the schema; released with the transaction.
SELECT pg_advisory_xact_lock(7349001);

-- migration_table --
CREATE TABLE IF NOT EXISTS migrations (
    number integer PRIMARY KEY,
    name text NOT NULL,
    sha256 text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- migrations_applied --
SELECT number, name, sha256 FROM migrations ORDER BY number;

-- migration_record --
INSERT INTO migrations (number, name, sha256) VALUES (%(number)s, %(name)s, %(sha256)s);

-- timescaledb_available --
-- The extension can be created only when the server loaded it at its start.
SELECT true AS available
FROM pg_available_extensions
WHERE name = 'timescaledb' AND current_setting('shared_preload_libraries') ~ 'timescaledb';

-- timescaledb_create --
CREATE EXTENSION IF NOT EXISTS timescaledb;
