-- The statements of the HTTP API: users and sessions, then what it shows.
-- Lists are paged by key: "rows after this one", never by OFFSET. A filter that is NULL is not applied.

-- users_any --
SELECT true AS found FROM users LIMIT 1;

-- users_lock --
-- Two hubs that start at once create one first user; released with the transaction.
SELECT pg_advisory_xact_lock(7349005);

-- user_first --
INSERT INTO users (name, display_name, password_hash)
SELECT %(name)s, %(display_name)s, %(password_hash)s WHERE NOT EXISTS (SELECT FROM users);

-- user_by_name --
SELECT name, display_name, role, password_hash FROM users WHERE name = %(name)s;

-- session_add --
INSERT INTO sessions (token_hash, name, expires_at) VALUES (%(token_hash)s, %(name)s, %(expires_at)s);

-- session_by_key --
SELECT u.name, u.display_name, u.role, s.expires_at
FROM sessions s JOIN users u ON u.name = s.name
WHERE s.token_hash = %(token_hash)s AND s.expires_at > %(now)s;

-- session_end --
DELETE FROM sessions WHERE token_hash = %(token_hash)s;

-- sessions_expire --
DELETE FROM sessions WHERE expires_at <= %(now)s;

-- sessions_trim --
-- No user has more sessions than `keep`; the ones that end first go.
DELETE FROM sessions WHERE token_hash IN (
    SELECT token_hash FROM sessions WHERE name = %(name)s ORDER BY expires_at DESC OFFSET %(keep)s
)
RETURNING token_hash;

-- sites_page --
SELECT site, name_zh, name_en, time_zone, longitude, latitude FROM sites
WHERE %(after)s::text IS NULL OR site > %(after)s
ORDER BY site
LIMIT %(limit)s;

-- site_exists --
SELECT longitude, latitude FROM sites WHERE site = %(site)s;

-- zones_shown --
SELECT zone, name_zh, name_en, purpose, ring, shape, rules, source, version FROM zones
WHERE site = %(site)s AND (%(zone)s::text IS NULL OR zone = %(zone)s)
ORDER BY ring, zone;

-- zone_lock --
SELECT zone, site, name_zh, name_en, purpose, ring, shape, rules, source, version FROM zones
WHERE zone = %(zone)s FOR UPDATE;

-- zone_parents_of_site --
SELECT zone, coalesce(rules->>'parent', '') AS parent FROM zones WHERE site = %(site)s;

-- zone_version_newest --
SELECT coalesce(max(version), 0) AS version FROM zone_steps WHERE site = %(site)s AND zone = %(zone)s;

-- zone_put --
INSERT INTO zones (zone, site, name_zh, name_en, purpose, ring, shape, rules, source, version)
VALUES (%(zone)s, %(site)s, %(name_zh)s, %(name_en)s, %(purpose)s, %(ring)s, %(shape)s, %(rules)s, 'api', %(version)s)
ON CONFLICT (zone) DO UPDATE SET (name_zh, name_en, purpose, ring, shape, rules, version) =
    (excluded.name_zh, excluded.name_en, excluded.purpose, excluded.ring, excluded.shape, excluded.rules,
    excluded.version);

-- zone_withdraw --
DELETE FROM zones WHERE zone = %(zone)s;

-- zone_in_use --
-- Devices that stand in it, a few of them.
SELECT device FROM devices WHERE zone = %(zone)s ORDER BY device LIMIT 3;

-- zone_step --
INSERT INTO zone_steps (site, zone, version, action, actor, at, before, after)
VALUES (%(site)s, %(zone)s, %(version)s, %(action)s, %(actor)s, %(now)s, %(before)s, %(after)s);

-- zone_steps_page --
SELECT number, zone, version, action, actor, at, before, after FROM zone_steps
WHERE site = %(site)s AND (%(zone)s::text IS NULL OR zone = %(zone)s)
    AND (%(after)s::bigint IS NULL OR number < %(after)s)
ORDER BY number DESC
LIMIT %(limit)s;

-- zone_at_version --
SELECT after FROM zone_steps
WHERE site = %(site)s AND zone = %(zone)s AND version = %(version)s AND after IS NOT NULL;

-- gateways_of_site --
SELECT gateway FROM gateways WHERE site = %(site)s ORDER BY gateway;

-- zones_held --
-- Which version of the document "zones" each gateway of the site was given, and which it works by.
SELECT g.gateway, g.online, coalesce(d.version, 0) AS issued,
    coalesce((g.state->'documents'->>'zones')::numeric, 0)::bigint AS held,
    coalesce(g.state->'documents_refused'->>'zones', '') AS reason
FROM gateways g
LEFT JOIN LATERAL (
    SELECT version FROM documents WHERE audience = g.gateway AND name = 'zones' ORDER BY version DESC LIMIT 1
) d ON true
WHERE g.site = %(site)s
ORDER BY g.gateway;

-- devices_page --
SELECT d.device, d.family, d.kind, d.name, d.name_zh, d.site, d.zone, d.gateway, d.floor, d.longitude, d.latitude,
    d.last_seen, a.alarms, p.device IS NOT NULL AS placed, p.longitude AS at_longitude, p.latitude AS at_latitude,
    p.observed_at, p.received_at, p.accuracy_m, p.speed_kmh, p.course_deg, p.fix, nullif(p.zone, '') AS at_zone
FROM devices d
LEFT JOIN latest_positions p ON p.device = d.device
CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(DISTINCT c.kind), '{}') AS alarms
    FROM alarm_conditions c
    WHERE c.device = d.device AND c.raised_at >= coalesce(c.cleared_at, '-infinity')
) a
WHERE (%(device)s::text IS NULL OR d.device = %(device)s)
    AND (%(site)s::text IS NULL OR d.site = %(site)s)
    AND (%(family)s::text IS NULL OR d.family = %(family)s)
    AND (%(kind)s::text IS NULL OR d.kind = %(kind)s)
    AND (%(zone)s::text IS NULL OR d.zone = %(zone)s)
    AND (%(after)s::text IS NULL OR d.device > %(after)s)
ORDER BY d.device
LIMIT %(limit)s;

-- device_exists --
SELECT true AS found FROM devices WHERE device = %(device)s;

-- device_values --
SELECT metric, component, value, observed_at FROM latest_values
WHERE device = %(device)s ORDER BY metric, component;

-- series_buckets --
-- One range of index telemetry_series, made small before it leaves the database.
SELECT date_bin(%(bucket)s::interval, observed_at, %(start)s::timestamptz) AS at,
    min(value) AS min, max(value) AS max, avg(value) AS mean, count(*) AS count
FROM telemetry
WHERE device = %(device)s AND metric = %(metric)s AND component = %(component)s
    AND observed_at >= %(start)s AND observed_at < %(end)s
GROUP BY 1 ORDER BY 1;

-- track --
SELECT device, longitude, latitude, observed_at, received_at, accuracy_m, speed_kmh, course_deg, fix,
    nullif(zone, '') AS zone
FROM positions
WHERE device = %(device)s AND observed_at >= %(start)s AND observed_at < %(end)s
ORDER BY observed_at DESC
LIMIT %(limit)s;

-- events_page --
-- (observed_at, gateway, epoch, seq) is one row; an index on its first part leaves little to sort.
SELECT device, class, kind, raised, priority, component, description, attributes, nullif(zone, '') AS zone, observed_at,
    received_at, committed_at, late, incident, flags, gateway, epoch, seq
FROM events
WHERE (%(device)s::text IS NULL OR device = %(device)s)
    AND (%(class)s::text IS NULL OR class = %(class)s)
    AND (%(zone)s::text IS NULL OR zone = %(zone)s)
    AND (%(start)s::timestamptz IS NULL OR observed_at >= %(start)s)
    AND (%(end)s::timestamptz IS NULL OR observed_at < %(end)s)
    AND (%(at)s::timestamptz IS NULL
        OR (observed_at, gateway, epoch, seq) < (%(at)s, %(gateway)s::text, %(epoch)s::text, %(seq)s::bigint))
ORDER BY observed_at DESC, gateway DESC, epoch DESC, seq DESC
LIMIT %(limit)s;

-- gateways_page --
SELECT gateway, site, online, state, state_at FROM gateways
WHERE %(after)s::text IS NULL OR gateway > %(after)s
ORDER BY gateway
LIMIT %(limit)s;

-- gateway_exists --
SELECT true AS found FROM gateways WHERE gateway = %(gateway)s;

-- incidents_page --
SELECT incident, opened_at FROM incidents
WHERE (%(phase)s::text IS NULL OR phase = %(phase)s)
    AND (%(site)s::text IS NULL OR site = %(site)s)
    AND (%(merged)s OR merged_into IS NULL)
    AND (%(opened_at)s::timestamptz IS NULL OR (opened_at, incident) < (%(opened_at)s, %(incident)s::bigint))
ORDER BY opened_at DESC, incident DESC
LIMIT %(limit)s;

-- incidents_page_active --
-- The same for what is not closed, by the index of only those.
SELECT incident, opened_at FROM incidents
WHERE phase <> 'closed'
    AND (%(site)s::text IS NULL OR site = %(site)s)
    AND (%(opened_at)s::timestamptz IS NULL OR (opened_at, incident) < (%(opened_at)s, %(incident)s::bigint))
ORDER BY opened_at DESC, incident DESC
LIMIT %(limit)s;

-- incident_merged_into --
SELECT merged_into FROM incidents WHERE incident = %(incident)s;

-- incident_steps --
SELECT number, action, actor, at, cause, phase, detail FROM incident_steps
WHERE incident = %(incident)s ORDER BY number;

-- incident_alarms --
-- An alarm was seen at the first look that had it on the screen. What was brought in by a merge was not there before it,
-- and which ones those are nobody knows any more: only looks that showed the alarm that made the merge count.
-- `through`, the newest of all, is the same in every row: read by this statement, it is not newer than what is shown.
WITH merge AS (SELECT max(at) AS at FROM incident_steps WHERE incident = %(incident)s AND action = 'absorb')
SELECT e.device, e.kind, e.raised, e.priority, e.component, e.description, nullif(e.zone, '') AS zone, e.observed_at,
    e.received_at, e.committed_at, e.late,
    (SELECT min(l.at) FROM incident_looks l
        WHERE l.incident = e.incident AND l.through >= greatest(e.committed_at, (SELECT at FROM merge))) AS seen_at,
    (SELECT max(n.committed_at) FROM events n WHERE n.incident = %(incident)s AND n.class = 'alarm') AS through
FROM events e
WHERE e.incident = %(incident)s AND e.class = 'alarm'
ORDER BY e.observed_at DESC, e.committed_at DESC, e.gateway, e.epoch, e.seq DESC
LIMIT %(limit)s;

-- incident_look --
-- Only the first look after a new alarm makes a row, and only what was on the screen counts: alarms up to `through`.
INSERT INTO incident_looks (incident, through, at, actor)
SELECT incident, committed_at, %(now)s, %(actor)s FROM events
WHERE incident = %(incident)s AND class = 'alarm' AND committed_at <= %(through)s
ORDER BY committed_at DESC LIMIT 1
ON CONFLICT DO NOTHING;

-- strangers_page --
-- Who knocked at a gateway without being enrolled, the newest first, out of the newest `notices` of them: whoever makes
-- names up makes no query slow. A device that was heard since is enrolled, by the gateway's own file.
WITH notices AS (
    SELECT gateway, observed_at, attributes->>'device' AS device, attributes->>'link' AS link,
        attributes->>'frame' AS frame, attributes - '{device,link,frame,frames}'::text[] AS said,
        CASE WHEN attributes->>'frames' ~ '^[0-9]{1,9}$' THEN (attributes->>'frames')::bigint ELSE 1 END AS frames
    FROM events
    WHERE kind = 'unknown_device' AND committed_at >= %(since)s
    ORDER BY committed_at DESC
    LIMIT %(notices)s
), strangers AS (
    SELECT gateway, device, min(observed_at) AS first_seen, max(observed_at) AS last_seen,
        sum(frames)::bigint AS frames, (array_agg(link ORDER BY observed_at DESC))[1] AS link,
        (array_agg(frame ORDER BY observed_at DESC))[1] AS frame,
        (array_agg(said ORDER BY said = '{}', observed_at DESC))[1] AS said
    FROM notices
    WHERE device IS NOT NULL
    GROUP BY gateway, device
)
SELECT s.gateway, s.device, split_part(s.device, ':', 1) AS family, coalesce(s.link, '') AS link, g.site, s.first_seen,
    s.last_seen, s.frames, coalesce(s.frame, '') AS frame, s.said
FROM strangers s JOIN gateways g ON g.gateway = s.gateway
WHERE NOT EXISTS (SELECT FROM enrolments e WHERE e.gateway = s.gateway AND e.device = s.device)
    AND NOT EXISTS (
        SELECT FROM devices d WHERE d.device = s.device AND d.gateway = s.gateway AND d.last_seen > s.last_seen
    )
    AND (%(gateway)s::text IS NULL OR s.gateway = %(gateway)s)
    AND (%(device)s::text IS NULL OR s.device = %(device)s)
    AND (%(site)s::text IS NULL OR g.site = %(site)s)
    AND (%(at)s::timestamptz IS NULL OR (s.last_seen, s.gateway, s.device)
        < (%(at)s, %(after_gateway)s::text, %(after_device)s::text))
ORDER BY s.last_seen DESC, s.gateway DESC, s.device DESC
LIMIT %(limit)s;

-- enrolments_page --
SELECT e.gateway, e.device, d.family, e.link, d.name, d.zone, d.floor, d.longitude, d.latitude, e.actor, e.at, e.document,
    CASE
        WHEN coalesce((g.state->'documents'->>'devices')::numeric, 0) < e.document THEN 'waiting'
        WHEN g.state->'devices_refused' ? e.device THEN 'refused'
        ELSE 'held'
    END AS state,
    CASE WHEN coalesce((g.state->'documents'->>'devices')::numeric, 0) < e.document THEN ''
        ELSE coalesce(g.state->'devices_refused'->>e.device, '')
    END AS reason
FROM enrolments e
JOIN devices d ON d.device = e.device
JOIN gateways g ON g.gateway = e.gateway
WHERE (%(gateway)s::text IS NULL OR e.gateway = %(gateway)s)
    AND (%(device)s::text IS NULL OR e.device = %(device)s)
    AND (%(site)s::text IS NULL OR g.site = %(site)s)
    AND (%(after_gateway)s::text IS NULL OR (e.gateway, e.device) > (%(after_gateway)s, %(after_device)s::text))
ORDER BY e.gateway, e.device
LIMIT %(limit)s;

-- enrolment_steps_page --
SELECT number, gateway, device, action, actor, at, detail FROM enrolment_steps
WHERE (%(device)s::text IS NULL OR device = %(device)s) AND (%(after)s::bigint IS NULL OR number < %(after)s)
ORDER BY number DESC
LIMIT %(limit)s;

-- gateway_of_enrolment --
-- Locked, so that its number of enrolments can be counted.
SELECT gateway, site, (SELECT count(*) FROM enrolments e WHERE e.gateway = g.gateway)::int AS enrolled
FROM gateways g WHERE gateway = %(gateway)s FOR UPDATE;

-- enrolment_newest --
SELECT gateway FROM enrolments WHERE device = %(device)s ORDER BY at DESC LIMIT 1;

-- zone_in_site --
SELECT true AS found FROM zones WHERE zone = %(zone)s AND site = %(site)s;

-- device_of_enrolment --
SELECT d.name, coalesce(d.zone, '') AS zone, coalesce(d.floor, '') AS floor, d.longitude, d.latitude,
    e.link IS NOT NULL AS enrolled, coalesce(e.link, '') AS link
FROM devices d LEFT JOIN enrolments e ON e.device = d.device AND e.gateway = %(gateway)s
WHERE d.device = %(device)s;

-- device_describe --
UPDATE devices SET name = %(name)s, zone = nullif(%(zone)s, ''), floor = nullif(%(floor)s, ''),
    longitude = %(longitude)s, latitude = %(latitude)s
WHERE device = %(device)s;

-- enrolment_put --
INSERT INTO enrolments (gateway, device, link, actor, at)
VALUES (%(gateway)s, %(device)s, %(link)s, %(actor)s, %(now)s)
ON CONFLICT (gateway, device) DO UPDATE SET link = excluded.link;

-- enrolment_document --
UPDATE enrolments SET document = %(version)s WHERE gateway = %(gateway)s AND device = %(device)s;

-- enrolment_withdraw --
DELETE FROM enrolments WHERE gateway = %(gateway)s AND device = %(device)s;

-- enrolment_step --
INSERT INTO enrolment_steps (gateway, device, action, actor, at, detail)
VALUES (%(gateway)s, %(device)s, %(action)s, %(actor)s, %(now)s, %(detail)s);
