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

-- database_fits --
-- As a yes or no: with SQL_ASCII no text can be read, this answer neither.
SELECT current_setting('server_encoding') = 'UTF8' AS utf8;

-- timescaledb_available --
-- The extension can be created only when the server loaded it at its start, which its settings show to everyone
-- (shared_preload_libraries is for superusers), and by a role that may.
SELECT true AS available
FROM pg_available_extensions e
JOIN pg_available_extension_versions v ON v.name = e.name AND v.version = e.default_version
WHERE e.name = 'timescaledb' AND EXISTS (SELECT FROM pg_settings WHERE starts_with(name, 'timescaledb.'))
    AND (NOT v.superuser OR v.trusted OR (SELECT rolsuper FROM pg_roles WHERE rolname = current_user))
    AND has_database_privilege(current_database(), 'CREATE');

-- timescaledb_create --
CREATE EXTENSION IF NOT EXISTS timescaledb;

-- incident_views --
-- Incidents as the API and the live stream show them. Where it is: the subject's newest position, else its own place,
-- else the place of a device that raised it.
SELECT i.incident, i.site, i.alarm_group, i.kind, i.priority, i.zone, z.name_zh AS zone_name_zh,
    z.name_en AS zone_name_en, i.subject, s.name AS subject_name, nullif(s.name_zh, '') AS subject_name_zh, i.phase,
    i.opened_at, i.last_alarm_at, i.late, i.alarm_count, i.uncleared, i.previous, i.merged_into, i.version,
    coalesce(p.longitude, s.longitude, a.longitude) AS longitude,
    coalesce(p.latitude, s.latitude, a.latitude) AS latitude
FROM incidents i
LEFT JOIN zones z ON z.zone = i.zone
LEFT JOIN devices s ON s.device = i.subject
LEFT JOIN latest_positions p ON p.device = i.subject
LEFT JOIN LATERAL (
    SELECT d.longitude, d.latitude
    FROM incident_conditions c JOIN devices d ON d.device = c.device
    WHERE c.incident = i.incident AND d.longitude IS NOT NULL
    LIMIT 1
) a ON true
WHERE i.incident = ANY(%(incidents)s);

-- incident_lock --
SELECT incident, alarm_group, phase, uncleared, version, head, merged_into FROM incidents
WHERE incident = %(incident)s FOR UPDATE;

-- incident_step --
INSERT INTO incident_steps (incident, number, action, actor, at, cause, phase, detail, hash)
VALUES (%(incident)s, %(number)s, %(action)s, %(actor)s, %(at)s, %(cause)s, %(phase)s, %(detail)s, %(hash)s);

-- incident_phase --
UPDATE incidents SET phase = %(phase)s, version = %(version)s, head = %(head)s WHERE incident = %(incident)s;

-- seal_lock --
-- One hub at a time seals the logs of incidents; released with the transaction.
SELECT pg_advisory_xact_lock(7349006);

-- incidents_unsealed --
SELECT incident, version, head FROM incidents WHERE version > sealed
ORDER BY incident LIMIT %(limit)s FOR UPDATE SKIP LOCKED;

-- incidents_sealed --
UPDATE incidents i SET sealed = w.version
FROM unnest(%(incidents)s::bigint[], %(versions)s::integer[]) AS w (incident, version)
WHERE i.incident = w.incident;

-- seal_newest --
SELECT number, content, signature, signed_by FROM step_seals ORDER BY number DESC LIMIT 1;

-- seal_add --
INSERT INTO step_seals (number, at, incidents, content, signature, signed_by)
VALUES (%(number)s, %(at)s, %(incidents)s::bigint[], %(content)s, %(signature)s, %(signed_by)s);

-- lock_timeout --
-- For this transaction: whoever waits for a lock makes others wait behind it.
SELECT set_config('lock_timeout', %(timeout)s, true);

-- partition_lock --
-- One hub at a time makes and drops partitions; released with the transaction.
SELECT pg_advisory_xact_lock(7349002);

-- timescaledb_installed --
SELECT true AS installed FROM pg_extension WHERE extname = 'timescaledb';

-- retention_clock --
SELECT day, waits FROM retention_clock FOR UPDATE;

-- retention_clock_set --
UPDATE retention_clock SET day = %(day)s, waits = %(waits)s;

-- partition_make --
SELECT series_make_part(%(series)s, %(first)s::date, %(beyond)s::date) AS made;

-- partition_drop --
SELECT series_drop_before(%(series)s, %(oldest)s::date, %(span)s::interval) AS dropped;

-- partition_forget --
SELECT series_forget_before(%(series)s, %(oldest)s::date);

-- chunks_drop --
SELECT count(*)::int AS dropped FROM drop_chunks(%(series)s::regclass, %(oldest)s::date::timestamp AT TIME ZONE 'UTC');

-- incident_alarms_drop --
-- The marks against duplicates are not needed longer than the events they stand for: counted, as those, in the hub's time.
DELETE FROM incident_alarms a USING incidents i
WHERE i.incident = a.incident AND i.phase = 'closed' AND a.observed_at < %(oldest)s::date
    AND NOT EXISTS (SELECT FROM incident_steps s WHERE s.incident = a.incident AND s.at >= %(oldest)s::date);

-- cursors_make --
-- The first batch of a spool makes its cursor.
INSERT INTO gateway_cursors (gateway, epoch, lane)
SELECT w.gateway, w.epoch, %(lane)s FROM unnest(%(gateways)s::text[], %(epochs)s::text[]) AS w (gateway, epoch)
ORDER BY 1, 2
ON CONFLICT DO NOTHING;

-- cursors_lock --
-- Serialise these spools' lane; everything at or below committed_seq has been seen.
SELECT c.gateway, c.epoch, c.committed_seq
FROM gateway_cursors c
JOIN unnest(%(gateways)s::text[], %(epochs)s::text[]) AS w (gateway, epoch)
    ON w.gateway = c.gateway AND w.epoch = c.epoch
WHERE c.lane = %(lane)s
ORDER BY c.gateway, c.epoch
FOR UPDATE OF c;

-- cursors_advance --
UPDATE gateway_cursors c SET committed_seq = w.seq, updated_at = %(now)s
FROM unnest(%(gateways)s::text[], %(epochs)s::text[], %(seqs)s::bigint[]) AS w (gateway, epoch, seq)
WHERE c.gateway = w.gateway AND c.epoch = w.epoch AND c.lane = %(lane)s;

-- cursors_known --
SELECT c.gateway, c.epoch
FROM gateway_cursors c
JOIN unnest(%(gateways)s::text[], %(epochs)s::text[]) AS w (gateway, epoch)
    ON w.gateway = c.gateway AND w.epoch = c.epoch
WHERE c.lane = %(lane)s;

-- cursors_newest --
-- What each gateway's lane was last told, for a broker that has forgotten it.
SELECT DISTINCT ON (gateway) gateway, epoch, committed_seq, updated_at
FROM gateway_cursors WHERE lane = %(lane)s ORDER BY gateway, updated_at DESC;

-- gaps_declare --
INSERT INTO gaps (gateway, epoch, lane, first_seq, last_seq, declared_at)
SELECT w.gateway, w.epoch, %(lane)s, w.first_seq, w.last_seq, %(now)s
FROM unnest(%(gateways)s::text[], %(epochs)s::text[], %(firsts)s::bigint[], %(lasts)s::bigint[])
    AS w (gateway, epoch, first_seq, last_seq)
ON CONFLICT (gateway, epoch, lane, first_seq) DO UPDATE SET last_seq = greatest(gaps.last_seq, excluded.last_seq);

-- gateways_register --
-- A gateway that no site file names belongs to the site, when there is only one.
INSERT INTO gateways (gateway, site)
SELECT w.gateway, (SELECT min(site) FROM sites HAVING count(*) = 1)
FROM unnest(%(gateways)s::text[]) AS w (gateway)
ORDER BY 1
ON CONFLICT DO NOTHING;

-- devices_register --
-- A device that no site file names is known from its first observation; gateways enrol, so this is not a stranger.
INSERT INTO devices (device, family, site, gateway, name, kind)
SELECT w.device, split_part(w.device, ':', 1), g.site, w.gateway, w.device,
    CASE split_part(w.device, ':', 1)
        WHEN 'gbt26875' THEN 'panel' WHEN 'watch' THEN 'band' WHEN 'jt808' THEN 'vehicle' WHEN 'gateway' THEN 'gateway'
        ELSE 'device'
    END
FROM unnest(%(devices)s::text[], %(gateways)s::text[]) AS w (device, gateway)
JOIN gateways g ON g.gateway = w.gateway AND g.site IS NOT NULL
ORDER BY 1
ON CONFLICT DO NOTHING;

-- devices_seen --
-- SKIP LOCKED: the other lane is saying nearly the same at this moment, and neither shall wait for the other.
UPDATE devices d SET last_seen = greatest(d.last_seen, s.at)
FROM (
    SELECT w.device, w.at
    FROM unnest(%(devices)s::text[], %(times)s::timestamptz[]) AS w (device, at)
    JOIN devices k ON k.device = w.device
    FOR NO KEY UPDATE OF k SKIP LOCKED
) s
WHERE d.device = s.device;

-- telemetry_copy --
COPY telemetry (device, metric, component, observed_at, received_at, value) FROM STDIN (FORMAT BINARY);

-- positions_copy --
COPY positions (device, observed_at, received_at, longitude, latitude, altitude_m, accuracy_m, speed_kmh, course_deg,
    fix, zone, level) FROM STDIN (FORMAT BINARY);

-- events_copy --
COPY events (gateway, epoch, seq, device, class, kind, raised, priority, component, description, attributes, zone,
    observed_at, received_at, committed_at, late, flags, incident) FROM STDIN (FORMAT BINARY);

-- latest_values_upsert --
INSERT INTO latest_values AS held (device, metric, component, observed_at, value)
SELECT * FROM unnest(%(devices)s::text[], %(metrics)s::text[], %(components)s::text[], %(times)s::timestamptz[],
    %(values)s::float8[])
ON CONFLICT (device, metric, component) DO UPDATE SET observed_at = excluded.observed_at, value = excluded.value
WHERE held.observed_at <= excluded.observed_at;

-- latest_positions_upsert --
INSERT INTO latest_positions AS held
    (device, observed_at, received_at, longitude, latitude, accuracy_m, speed_kmh, course_deg, fix, zone)
SELECT * FROM unnest(%(devices)s::text[], %(observed)s::timestamptz[], %(received)s::timestamptz[],
    %(longitudes)s::float8[], %(latitudes)s::float8[], %(accuracies)s::real[], %(speeds)s::real[], %(courses)s::real[],
    %(fixes)s::text[], %(zones)s::text[])
ON CONFLICT (device) DO UPDATE SET
    (observed_at, received_at, longitude, latitude, accuracy_m, speed_kmh, course_deg, fix, zone) =
    (excluded.observed_at, excluded.received_at, excluded.longitude, excluded.latitude, excluded.accuracy_m,
    excluded.speed_kmh, excluded.course_deg, excluded.fix, excluded.zone)
WHERE least(held.observed_at, held.received_at) <= least(excluded.observed_at, excluded.received_at)
RETURNING device;

-- conditions_upsert --
-- The newest raise and the newest clear of each condition; the order in which they came does not matter.
INSERT INTO alarm_conditions AS held (device, kind, component, raised_at, cleared_at)
SELECT * FROM unnest(%(devices)s::text[], %(kinds)s::text[], %(components)s::text[], %(raised)s::timestamptz[],
    %(cleared)s::timestamptz[])
ON CONFLICT (device, kind, component) DO UPDATE SET
    raised_at = greatest(held.raised_at, excluded.raised_at),
    cleared_at = greatest(held.cleared_at, excluded.cleared_at);

-- correlation_lock --
-- Alarms are placed by one transaction at a time, whichever hub it belongs to.
SELECT pg_advisory_xact_lock(7349003);

-- device_sites --
SELECT device, site FROM devices WHERE device = ANY(%(devices)s);

-- device_alarms --
SELECT d.device, d.last_seen, coalesce(array_agg(DISTINCT c.kind) FILTER (WHERE c.kind IS NOT NULL), '{}') AS alarms
FROM devices d
LEFT JOIN alarm_conditions c ON c.device = d.device AND c.raised_at >= coalesce(c.cleared_at, '-infinity')
WHERE d.device = ANY(%(devices)s)
GROUP BY d.device;

-- alarms_placed --
-- Which of these raised alarms belong to an incident already (they were delivered before).
SELECT a.device, a.kind, a.component, a.observed_at, a.zone, a.incident
FROM incident_alarms a
JOIN unnest(%(devices)s::text[], %(kinds)s::text[], %(components)s::text[], %(times)s::timestamptz[], %(zones)s::text[])
    AS w (device, kind, component, observed_at, zone)
    ON (a.device, a.kind, a.component, a.observed_at, a.zone) = (w.device, w.kind, w.component, w.observed_at, w.zone);

-- cases_lock --
-- Incidents that these alarms may join, and those with a condition that is being cleared.
SELECT i.incident FROM incidents i
WHERE i.phase <> 'closed' AND (
    (i.alarm_group, coalesce(i.site, ''), i.place, i.subject) IN (
        SELECT * FROM unnest(%(groups)s::text[], %(sites)s::text[], %(places)s::text[], %(subjects)s::text[])
    )
    OR i.uncleared && %(conditions)s::text[]
)
ORDER BY i.incident
FOR UPDATE OF i;

-- cases_read --
-- After they are locked, by a statement of its own: one that had to wait for a person's step would not see that step.
SELECT i.*, EXISTS (
        SELECT FROM incident_steps s WHERE s.incident = i.incident AND s.action = ANY(%(people)s)
    ) AS touched
FROM incidents i
WHERE i.incident = ANY(%(incidents)s) AND i.phase <> 'closed'
ORDER BY i.incident;

-- incident_previous --
-- The closed incident that an alarm raises again: the latest of the same key, at most a day before.
SELECT incident FROM incidents
WHERE phase = 'closed' AND merged_into IS NULL AND alarm_group = %(group)s AND coalesce(site, '') = %(site)s
    AND place = %(place)s AND subject = %(subject)s AND last_alarm_at >= %(opened_at)s - interval '1 day'
ORDER BY last_alarm_at DESC, incident DESC LIMIT 1;

-- incident_open --
INSERT INTO incidents (site, alarm_group, kind, priority, zone, place, subject, phase, opened_at, last_alarm_at, late,
    alarm_count, uncleared, previous)
VALUES (nullif(%(site)s, ''), %(group)s, %(kind)s, %(priority)s, nullif(%(zone)s, ''), %(place)s, %(subject)s, 'open',
    %(opened_at)s, %(last_alarm_at)s, %(late)s, %(alarm_count)s, '{}', %(previous)s)
RETURNING incident;

-- incident_update --
UPDATE incidents SET kind = %(kind)s, priority = %(priority)s, zone = nullif(%(zone)s, ''), phase = %(phase)s,
    opened_at = %(opened_at)s, last_alarm_at = %(last_alarm_at)s, late = %(late)s, alarm_count = %(alarm_count)s,
    uncleared = %(uncleared)s, version = %(version)s, head = %(head)s
WHERE incident = %(incident)s;

-- incident_merge --
UPDATE incidents SET phase = 'closed', uncleared = '{}', merged_into = %(winner)s, version = %(version)s,
    head = %(head)s
WHERE incident = %(loser)s;

-- incident_alarms_move --
UPDATE incident_alarms SET incident = %(winner)s WHERE incident = %(loser)s;

-- incident_conditions_move --
WITH gone AS (DELETE FROM incident_conditions WHERE incident = %(loser)s RETURNING device, kind, component, raised_at)
INSERT INTO incident_conditions AS held (incident, device, kind, component, raised_at)
SELECT %(winner)s, device, kind, component, raised_at FROM gone
ON CONFLICT (incident, device, kind, component) DO UPDATE SET raised_at = greatest(held.raised_at, excluded.raised_at);

-- incident_events_move --
UPDATE events SET incident = %(winner)s WHERE incident = %(loser)s;

-- incident_alarms_add --
WITH added AS (
    INSERT INTO incident_alarms (device, kind, component, observed_at, zone, incident)
    SELECT * FROM unnest(%(devices)s::text[], %(kinds)s::text[], %(components)s::text[], %(times)s::timestamptz[],
        %(zones)s::text[], %(incidents)s::bigint[])
)
INSERT INTO incident_conditions AS held (incident, device, kind, component, raised_at)
SELECT incident, device, kind, component, max(at)
FROM unnest(%(incidents)s::bigint[], %(devices)s::text[], %(kinds)s::text[], %(components)s::text[],
    %(ats)s::timestamptz[]) AS w (incident, device, kind, component, at)
GROUP BY incident, device, kind, component
ON CONFLICT (incident, device, kind, component) DO UPDATE SET raised_at = greatest(held.raised_at, excluded.raised_at);

-- clears_placed --
-- A clear belongs to the incident of the newest raise of its condition that is not younger, whichever came first.
SELECT w.index, a.incident
FROM unnest(%(indexes)s::int[], %(devices)s::text[], %(kinds)s::text[], %(components)s::text[],
    %(times)s::timestamptz[]) AS w (index, device, kind, component, observed_at)
CROSS JOIN LATERAL (
    SELECT m.incident FROM incident_alarms m
    WHERE m.device = w.device AND m.kind = w.kind AND m.component = w.component AND m.observed_at <= w.observed_at
    ORDER BY m.observed_at DESC, m.zone DESC LIMIT 1
) a;

-- raises_before_clears --
-- Those of these raises after which there were clears already, with the next raise of the same condition.
SELECT w.device, w.kind, w.component, w.observed_at, w.incident, (
        SELECT min(m.observed_at) FROM incident_alarms m
        WHERE m.device = w.device AND m.kind = w.kind AND m.component = w.component AND m.observed_at > w.observed_at
    ) AS next_at
FROM unnest(%(devices)s::text[], %(kinds)s::text[], %(components)s::text[], %(times)s::timestamptz[], %(zones)s::text[],
    %(incidents)s::bigint[]) AS w (device, kind, component, observed_at, zone, incident)
JOIN alarm_conditions c ON (c.device, c.kind, c.component) = (w.device, w.kind, w.component)
WHERE c.cleared_at >= w.observed_at
    AND NOT EXISTS (
        SELECT FROM incident_alarms m
        WHERE (m.device, m.kind, m.component, m.observed_at) = (w.device, w.kind, w.component, w.observed_at)
            AND m.zone > w.zone
    );

-- clears_attach --
-- Clears that came before their raise.
UPDATE events e SET incident = w.incident
FROM unnest(%(devices)s::text[], %(kinds)s::text[], %(components)s::text[], %(times)s::timestamptz[],
    %(nexts)s::timestamptz[], %(incidents)s::bigint[]) AS w (device, kind, component, observed_at, next_at, incident)
WHERE e.device = w.device AND e.kind = w.kind AND e.component = w.component AND NOT e.raised
    AND e.observed_at >= w.observed_at AND e.observed_at < coalesce(w.next_at, 'infinity')
    AND e.incident IS DISTINCT FROM w.incident;

-- incidents_uncleared --
-- The conditions still raised: the newest raise in the incident is not older than the newest clear anywhere.
SELECT a.incident, a.device, a.kind, a.component
FROM incident_conditions a
LEFT JOIN alarm_conditions c ON (c.device, c.kind, c.component) = (a.device, a.kind, a.component)
WHERE a.incident = ANY(%(incidents)s) AND (c.cleared_at IS NULL OR a.raised_at >= c.cleared_at)
ORDER BY a.incident, a.raised_at, a.device, a.kind, a.component;

-- incidents_shown --
-- Up to where these have something to show: committed_at of the newest alarm (a new incident has none).
SELECT w.incident, n.committed_at AS through
FROM unnest(%(incidents)s::bigint[]) AS w (incident)
CROSS JOIN LATERAL (
    SELECT e.committed_at FROM events e WHERE e.incident = w.incident ORDER BY e.committed_at DESC LIMIT 1
) n;

-- outbox_add --
INSERT INTO outbox (channel, body, created_at, due_at) VALUES (%(channel)s, %(body)s, %(now)s, %(now)s);

-- outbox_due --
-- SKIP LOCKED: two hubs share the work. md5: an address may be longer than an index takes. What is put off for longer than
-- we ever do (hub.outbox) was so by a hub whose clock was wrong.
SELECT id, body, attempts, created_at FROM outbox
WHERE done_at IS NULL AND (due_at <= %(now)s OR due_at > %(beyond)s) AND channel = %(channel)s AND md5(body->>'url') = md5(%(url)s)
ORDER BY due_at, id LIMIT %(limit)s
FOR UPDATE SKIP LOCKED;

-- outbox_claim --
-- Nobody else tries it before `due_at`; should we die meanwhile, it is tried again then.
UPDATE outbox SET attempts = attempts + 1, due_at = %(due_at)s WHERE id = ANY(%(ids)s);

-- outbox_done --
UPDATE outbox SET done_at = %(now)s, error = %(error)s WHERE id = %(id)s;

-- outbox_again --
UPDATE outbox SET due_at = %(due_at)s, error = %(error)s WHERE id = %(id)s;

-- outbox_next --
SELECT min(due_at) AS due_at FROM outbox
WHERE done_at IS NULL AND channel = %(channel)s AND md5(body->>'url') = md5(%(url)s);

-- outbox_give_up --
UPDATE outbox SET done_at = %(now)s, error = 'no longer configured'
WHERE done_at IS NULL AND channel = %(channel)s AND NOT body->>'url' = ANY(%(urls)s::text[]);

-- outbox_forget --
DELETE FROM outbox WHERE done_at < %(oldest)s;

-- row_refused --
INSERT INTO refused_rows (gateway, epoch, lane, seq, observation, error)
VALUES (%(gateway)s, %(epoch)s, %(lane)s, %(seq)s, %(observation)s, %(error)s)
ON CONFLICT DO NOTHING;

-- gateway_state --
-- A state written before the one we hold (another hub was quicker) changes nothing, unless ours is of a future that no
-- hub was quick enough for: its clock was wrong. A last will knows nothing but that the gateway is gone: what it said of
-- itself before stays.
UPDATE gateways SET online = %(online)s, state = CASE WHEN %(online)s THEN %(state)s ELSE state END, state_at = %(at)s
WHERE gateway = %(gateway)s
    AND (state_at IS NULL OR state_at <= %(at)s OR state_at > %(at)s::timestamptz + interval '10 minutes');

-- gateway_views --
SELECT gateway, site, online, state, state_at FROM gateways WHERE gateway = ANY(%(gateways)s);

-- gateways_slow --
-- Those whose clocks are behind ours, as they say themselves; what is beyond a year is cut, it may be any number.
SELECT gateway, least(-(state->>'clock_skew_s')::float8, 31536000) AS slow_s FROM gateways
WHERE gateway = ANY(%(gateways)s) AND (state->>'clock_skew_s')::float8 < 0;

-- gateways_silent --
-- Online once and not heard since: its last will was lost together with its broker. Nor was it heard in the future.
UPDATE gateways SET online = false
WHERE online AND (state_at < %(before)s OR state_at > %(now)s::timestamptz + interval '10 minutes')
RETURNING gateway, site, online, state, state_at;

-- gateways_with_site --
SELECT gateway, site, coalesce(state->'documents', '{}') AS held FROM gateways
WHERE site IS NOT NULL AND (%(gateways)s::text[] IS NULL OR gateway = ANY(%(gateways)s))
ORDER BY gateway;

-- zones_of_site --
SELECT zone AS id, purpose, ring, shape, rules FROM zones WHERE site = %(site)s ORDER BY zone;

-- zones_fingerprint --
-- Another one with each change of the site's zones.
SELECT coalesce(('x' || left(md5(string_agg(zone || ':' || version || ':' || source, ',' ORDER BY zone)), 7))::bit(28)::int, 0)
    AS fingerprint
FROM zones WHERE site = %(site)s;

-- device_reports --
SELECT site, gateway FROM devices WHERE device = %(device)s;

-- hub_track_lock --
INSERT INTO hub_tracks (device, track) VALUES (%(device)s, '') ON CONFLICT (device) DO UPDATE SET device = excluded.device
RETURNING track;

-- hub_tracks_due --
SELECT t.device, t.track, d.site FROM hub_tracks t JOIN devices d ON d.device = t.device
WHERE t.due_at <= %(now)s ORDER BY t.due_at LIMIT %(limit)s FOR UPDATE OF t SKIP LOCKED;

-- hub_track_put --
UPDATE hub_tracks SET track = %(track)s, due_at = %(due_at)s WHERE device = %(device)s;

-- relations_of_site --
SELECT kind, rules FROM zone_relations WHERE site = %(site)s ORDER BY relation;

-- devices_enrolled --
-- What the document "devices" says to each of these gateways.
SELECT e.gateway, e.device AS id, e.link, d.name, coalesce(d.zone, '') AS zone, coalesce(d.floor, '') AS floor,
    d.longitude, d.latitude
FROM enrolments e JOIN devices d ON d.device = e.device
WHERE e.gateway = ANY(%(gateways)s)
ORDER BY e.gateway, e.device;

-- document_lock --
-- One hub at a time gives out versions; released with the transaction.
SELECT pg_advisory_xact_lock(7349004);

-- document_newest --
SELECT version, body_sha256, signed_by, expires_at FROM documents
WHERE audience = %(audience)s AND name = %(name)s ORDER BY version DESC LIMIT 1;

-- document_content --
SELECT content FROM documents WHERE audience = %(audience)s AND name = %(name)s AND version = %(version)s;

-- document_add --
INSERT INTO documents (audience, name, version, content, body_sha256, signed_by, expires_at, created_at)
VALUES (%(audience)s, %(name)s, %(version)s, %(content)s, %(body_sha256)s, %(signed_by)s, %(expires_at)s, %(now)s);

-- document_forget --
DELETE FROM documents WHERE audience = %(audience)s AND name = %(name)s AND version <= %(version)s;

-- site_upsert --
INSERT INTO sites (site, name_zh, name_en, time_zone, longitude, latitude)
VALUES (%(site)s, %(name_zh)s, %(name_en)s, %(time_zone)s, %(longitude)s, %(latitude)s)
ON CONFLICT (site) DO UPDATE SET (name_zh, name_en, time_zone, longitude, latitude) =
    (excluded.name_zh, excluded.name_en, excluded.time_zone, excluded.longitude, excluded.latitude);

-- zone_upsert --
INSERT INTO zones (zone, site, name_zh, name_en, purpose, ring, shape, rules)
VALUES (%(zone)s, %(site)s, %(name_zh)s, %(name_en)s, %(purpose)s, %(ring)s, %(shape)s, %(rules)s)
ON CONFLICT (zone) DO UPDATE SET (site, name_zh, name_en, purpose, ring, shape, rules, source, version) =
    (excluded.site, excluded.name_zh, excluded.name_en, excluded.purpose, excluded.ring, excluded.shape,
    excluded.rules, 'file', zones.version + ((zones.site, zones.name_zh, zones.name_en, zones.purpose, zones.ring,
    zones.shape, zones.rules) IS DISTINCT FROM (excluded.site, excluded.name_zh, excluded.name_en, excluded.purpose,
    excluded.ring, excluded.shape, excluded.rules))::int);

-- zones_forget --
-- Zones of the file that it no longer has and nothing points to.
DELETE FROM zones z WHERE z.site = %(site)s AND z.source = 'file' AND NOT z.zone = ANY(%(zones)s)
    AND NOT EXISTS (SELECT FROM devices d WHERE d.zone = z.zone);

-- relations_forget --
DELETE FROM zone_relations WHERE site = %(site)s;

-- relation_add --
INSERT INTO zone_relations (site, relation, kind, rules) VALUES (%(site)s, %(relation)s, %(kind)s, %(rules)s);

-- gateway_upsert --
INSERT INTO gateways (gateway, site) VALUES (%(gateway)s, %(site)s)
ON CONFLICT (gateway) DO UPDATE SET site = excluded.site;

-- device_upsert --
INSERT INTO devices (device, family, site, zone, gateway, name, name_zh, kind, longitude, latitude, floor)
VALUES (%(device)s, split_part(%(device)s, ':', 1), %(site)s, %(zone)s, %(gateway)s, %(name)s, %(name_zh)s, %(kind)s,
    %(longitude)s, %(latitude)s, %(floor)s)
ON CONFLICT (device) DO UPDATE SET (site, zone, gateway, name, name_zh, kind, longitude, latitude, floor) =
    (excluded.site, excluded.zone, excluded.gateway, excluded.name, excluded.name_zh, excluded.kind,
    excluded.longitude, excluded.latitude, excluded.floor);

-- counts --
-- For the metrics.
SELECT (SELECT count(*) FROM incidents WHERE phase <> 'closed')::int AS incidents,
    (SELECT count(*) FROM outbox WHERE done_at IS NULL)::int AS outbox,
    (SELECT count(*) FROM (SELECT FROM refused_rows LIMIT 1000) r)::int AS refused;

-- steps_hashed --
SELECT incident, number, action, actor, at, cause, phase, detail, hash FROM incident_steps
WHERE incident = %(incident)s ORDER BY number;

-- seals_of_incident --
SELECT content, signature, signed_by FROM step_seals WHERE incidents @> ARRAY[%(incident)s]::bigint[] ORDER BY number;

-- seals_all --
SELECT content, signature, signed_by FROM step_seals ORDER BY number;

-- incidents_after --
SELECT incident FROM incidents WHERE incident > %(incident)s ORDER BY incident LIMIT 1000;

-- evidence_positions --
SELECT device, longitude, latitude, observed_at FROM positions
WHERE device = ANY(%(devices)s) AND observed_at >= %(start)s AND observed_at < %(end)s
ORDER BY device, observed_at LIMIT %(limit)s;

-- evidence_documents --
-- What is in force: the newest of each name for each gateway of the site.
SELECT DISTINCT ON (d.audience, d.name) d.audience, d.name, d.version, d.body_sha256, d.created_at, d.expires_at
FROM documents d JOIN gateways g ON g.gateway = d.audience
WHERE g.site = %(site)s
ORDER BY d.audience, d.name, d.version DESC;

-- evidence_gateways --
SELECT gateway, state, state_at FROM gateways WHERE site = %(site)s ORDER BY gateway;
