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

-- incident_views --
-- Incidents as the API and the live stream show them. Where it is: the subject's newest position, else its own place,
-- else the place of a device that raised it.
SELECT i.incident, i.site, i.alarm_group, i.kind, i.priority, i.zone, z.name_zh AS zone_name_zh,
    z.name_en AS zone_name_en, i.subject, s.name AS subject_name, i.phase, i.opened_at, i.last_alarm_at, i.late,
    i.alarm_count, i.uncleared, i.previous, i.version,
    coalesce(p.longitude, s.longitude, a.longitude) AS longitude,
    coalesce(p.latitude, s.latitude, a.latitude) AS latitude
FROM incidents i
LEFT JOIN zones z ON z.zone = i.zone
LEFT JOIN devices s ON s.device = i.subject
LEFT JOIN latest_positions p ON p.device = i.subject
LEFT JOIN LATERAL (
    SELECT d.longitude, d.latitude
    FROM incident_alarms ia JOIN devices d ON d.device = ia.device
    WHERE ia.incident = i.incident AND d.longitude IS NOT NULL
    LIMIT 1
) a ON true
WHERE i.incident = ANY(%(incidents)s);

-- incident_lock --
SELECT incident, alarm_group, phase, uncleared, version FROM incidents WHERE incident = %(incident)s FOR UPDATE;

-- incident_step --
INSERT INTO incident_steps (incident, number, action, actor, at, cause, phase, detail)
VALUES (%(incident)s, %(number)s, %(action)s, %(actor)s, %(at)s, %(cause)s, %(phase)s, %(detail)s);

-- incident_phase --
UPDATE incidents SET phase = %(phase)s, version = %(version)s WHERE incident = %(incident)s;

-- partition_lock --
-- One hub at a time makes and drops partitions; released with the transaction.
SELECT pg_advisory_xact_lock(7349002);

-- timescaledb_installed --
SELECT true AS installed FROM pg_extension WHERE extname = 'timescaledb';

-- partition_make --
SELECT series_make_day(%(series)s, %(day)s::date) AS made;

-- partition_drop --
SELECT series_drop_before(%(series)s, %(oldest)s::date) AS dropped;

-- chunks_drop --
SELECT count(*)::int AS dropped FROM drop_chunks(%(series)s::regclass, %(oldest)s::date::timestamp AT TIME ZONE 'UTC');

-- incident_alarms_drop --
-- The marks against duplicates are not needed longer than the events they stand for.
DELETE FROM incident_alarms a USING incidents i
WHERE i.incident = a.incident AND i.phase = 'closed' AND a.observed_at < %(oldest)s::date;
