-- First light: sites, devices, observations, incidents, outbox. Applied once, under an advisory lock, checksum kept.
-- The three time-series tables are declared plain and turned by make_series, below, into hypertables when the extension
-- TimescaleDB is installed in this database, and into tables range-partitioned by committed_at otherwise. They have no
-- primary keys: the cursor in gateway_cursors is what makes rows arrive exactly once.

CREATE TABLE sites (
    site text PRIMARY KEY,
    name_zh text NOT NULL,
    name_en text NOT NULL,
    time_zone text NOT NULL,
    longitude double precision NOT NULL,
    latitude double precision NOT NULL
);

CREATE TABLE zones (
    zone text PRIMARY KEY,
    site text NOT NULL REFERENCES sites,
    name_zh text NOT NULL,
    name_en text NOT NULL,
    purpose text NOT NULL,
    ring smallint NOT NULL DEFAULT 0,
    shape jsonb NOT NULL, -- GeoJSON geometry, WGS-84
    rules jsonb NOT NULL DEFAULT '{}', -- geofences.rules.Rules, without what is as by default
    source text NOT NULL DEFAULT 'file', -- file: of the site file, which alone changes it; api: drawn by people here
    version integer NOT NULL DEFAULT 1 -- optimistic lock of the API (ETag)
);

CREATE TABLE zone_steps ( -- append-only: who drew, changed, withdrew and restored what
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    site text NOT NULL,
    zone text NOT NULL,
    version integer NOT NULL, -- of the zone, after it
    action text NOT NULL, -- draw, change, withdraw or restore
    actor text NOT NULL,
    at timestamptz NOT NULL,
    before jsonb, -- null: there was none
    after jsonb -- null: withdrawn
);
CREATE INDEX zone_steps_zone ON zone_steps (site, zone, version);

CREATE TABLE zone_relations ( -- what tracked things are to each other
    site text NOT NULL REFERENCES sites,
    relation text NOT NULL,
    kind text NOT NULL, -- moving or proximity: geofences.together.MovingZone or Proximity
    rules jsonb NOT NULL, -- without what is as by default
    PRIMARY KEY (site, relation)
);

CREATE TABLE hub_tracks ( -- of devices that report to the hub itself: where each is by its zones
    device text PRIMARY KEY,
    track bytea NOT NULL, -- geofences.track.kept
    due_at timestamptz -- when something is to be told without a report
) WITH (fillfactor = 70);
CREATE INDEX hub_tracks_due ON hub_tracks (due_at) WHERE due_at IS NOT NULL;

CREATE TABLE gateways (
    gateway text PRIMARY KEY,
    site text REFERENCES sites,
    online boolean NOT NULL DEFAULT false,
    state jsonb NOT NULL DEFAULT '{}',
    state_at timestamptz
);

CREATE TABLE devices (
    device text PRIMARY KEY, -- family:native-id
    family text NOT NULL,
    site text NOT NULL REFERENCES sites,
    zone text REFERENCES zones,
    gateway text,
    name text NOT NULL,
    name_zh text NOT NULL DEFAULT '', -- empty: `name` is shown in every language
    kind text NOT NULL, -- what it is on the map: panel, band, vehicle, gateway
    longitude double precision,
    latitude double precision,
    floor text,
    last_seen timestamptz
);

CREATE TABLE gateway_cursors (
    gateway text NOT NULL,
    epoch text NOT NULL,
    lane text NOT NULL,
    committed_seq bigint NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (gateway, epoch, lane)
);

CREATE TABLE gaps (
    gateway text NOT NULL,
    epoch text NOT NULL,
    lane text NOT NULL,
    first_seq bigint NOT NULL,
    last_seq bigint NOT NULL,
    declared_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (gateway, epoch, lane, first_seq)
);

CREATE TABLE refused_rows ( -- rows that could be read or stored nowhere else: kept as they came, so that nothing is lost
    gateway text NOT NULL,
    epoch text NOT NULL,
    lane text NOT NULL,
    seq bigint NOT NULL,
    observation bytea NOT NULL, -- JSON
    error text NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (gateway, epoch, lane, seq)
);

-- A series is partitioned, kept and dropped by committed_at: the hub's own time. What an edge says of time may be wrong by
-- decades (a box without a clock boots in 2001), and a row must last its retention from when it was stored all the same.
-- The default partition takes what no partition of hub.partitions holds (nobody has made any for a week), so that nothing
-- is ever refused; hub.partitions moves its rows out when it makes theirs.
CREATE FUNCTION pg_temp.make_series(series text, span interval) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') THEN
        PERFORM create_hypertable(
            series::regclass, 'committed_at', chunk_time_interval => span, create_default_indexes => false
        );
        RETURN;
    END IF;
    EXECUTE format('ALTER TABLE %1$I RENAME TO %1$s_columns', series);
    EXECUTE format('CREATE TABLE %1$I (LIKE %1$s_columns INCLUDING DEFAULTS) PARTITION BY RANGE (committed_at)', series);
    EXECUTE format('DROP TABLE %s_columns', series);
    EXECUTE format('CREATE TABLE %1$s_default PARTITION OF %1$I DEFAULT', series);
END $$;

-- One span of days (UTC, from `first` to before `beyond`) of a native series as a partition of its own; false when it is
-- there. Rows that the default partition took for these days move into it. Locks in the order in which ingest takes them:
-- the series, then a partition.
CREATE FUNCTION series_make_part(series text, first date, beyond date) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    part text := format('%s_%s', series, to_char(first, 'YYYYMMDD'));
    first_at timestamptz := first::timestamp AT TIME ZONE 'UTC';
    beyond_at timestamptz := beyond::timestamp AT TIME ZONE 'UTC';
BEGIN
    IF to_regclass(part) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('LOCK TABLE ONLY %I IN SHARE UPDATE EXCLUSIVE MODE', series);
    EXECUTE format('LOCK TABLE %I_default IN ACCESS EXCLUSIVE MODE', series);
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS)', part, series);
    EXECUTE format(
        'WITH moved AS (DELETE FROM %I_default WHERE committed_at >= %L AND committed_at < %L RETURNING *) '
        'INSERT INTO %I SELECT * FROM moved', series, first_at, beyond_at, part
    );
    EXECUTE format(
        'ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', series, part, first_at, beyond_at
    );
    RETURN true;
END $$;

-- Drops the partitions (each one `span` long) of a native series that lie wholly before `oldest`; how many.
CREATE FUNCTION series_drop_before(series text, oldest date, span interval) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    parts text[];
    part text;
BEGIN
    SELECT array_agg(c.relname ORDER BY c.relname) INTO parts
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = series::regclass AND c.relname ~ '_[0-9]{8}$'
        AND to_date(right(c.relname, 8), 'YYYYMMDD') + span <= oldest;
    IF parts IS NULL THEN
        RETURN 0;
    END IF;
    EXECUTE format('LOCK TABLE ONLY %I IN ACCESS EXCLUSIVE MODE', series);
    FOREACH part IN ARRAY parts LOOP
        EXECUTE format('DROP TABLE %I', part);
    END LOOP;
    RETURN cardinality(parts);
END $$;

-- Removes what the default partition of a native series holds from before `oldest`.
CREATE FUNCTION series_forget_before(series text, oldest date) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('DELETE FROM %I_default WHERE committed_at < %L', series, oldest::timestamp AT TIME ZONE 'UTC');
END $$;

CREATE TABLE retention_clock ( -- one row
    day date, -- of the last round that kept partitions, as its hub's clock showed it
    waits integer NOT NULL DEFAULT 0 -- rounds until anything is dropped again, after that clock leapt
);
INSERT INTO retention_clock DEFAULT VALUES;

CREATE TABLE telemetry (
    device text NOT NULL,
    metric text NOT NULL,
    component text NOT NULL, -- part of the device that it was measured at, '' = the device
    observed_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    value double precision NOT NULL,
    committed_at timestamptz NOT NULL DEFAULT now() -- begin of the transaction that stored it
);
SELECT pg_temp.make_series('telemetry', '1 day');
CREATE INDEX telemetry_series ON telemetry (device, metric, component, observed_at DESC);

CREATE TABLE positions (
    device text NOT NULL,
    observed_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    longitude double precision NOT NULL,
    latitude double precision NOT NULL,
    altitude_m real,
    accuracy_m real,
    speed_kmh real,
    course_deg real,
    fix text NOT NULL,
    zone text,
    level smallint, -- floor
    committed_at timestamptz NOT NULL DEFAULT now()
);
SELECT pg_temp.make_series('positions', '1 day');
CREATE INDEX positions_track ON positions (device, observed_at DESC);

CREATE TABLE events ( -- Alarms and Events as they came: the urgent lane
    gateway text NOT NULL,
    epoch text NOT NULL,
    seq bigint NOT NULL,
    device text NOT NULL,
    class text NOT NULL, -- alarm or event
    kind text NOT NULL,
    raised boolean,
    priority smallint NOT NULL,
    component text NOT NULL,
    description text NOT NULL,
    attributes jsonb NOT NULL DEFAULT '{}',
    zone text,
    observed_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    committed_at timestamptz NOT NULL,
    late boolean NOT NULL,
    flags text[] NOT NULL DEFAULT '{}',
    incident bigint
);
SELECT pg_temp.make_series('events', '30 days');
CREATE INDEX events_device ON events (device, observed_at DESC);
CREATE INDEX events_recent ON events (observed_at DESC);
CREATE INDEX events_zone ON events (zone, observed_at DESC) WHERE zone IS NOT NULL;
CREATE INDEX events_incident ON events (incident, observed_at DESC) WHERE incident IS NOT NULL;
CREATE INDEX events_incident_newest ON events (incident, committed_at DESC) WHERE incident IS NOT NULL;
CREATE INDEX events_strangers ON events (committed_at DESC) WHERE kind = 'unknown_device';
CREATE INDEX events_clears ON events (device, kind, component, observed_at) WHERE NOT raised;

CREATE TABLE latest_values (
    device text NOT NULL,
    metric text NOT NULL,
    component text NOT NULL,
    observed_at timestamptz NOT NULL,
    value double precision NOT NULL,
    PRIMARY KEY (device, metric, component)
) WITH (fillfactor = 70);

CREATE TABLE latest_positions (
    device text PRIMARY KEY,
    observed_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    longitude double precision NOT NULL,
    latitude double precision NOT NULL,
    accuracy_m real,
    speed_kmh real,
    course_deg real,
    fix text NOT NULL,
    zone text
) WITH (fillfactor = 70);

CREATE TABLE incidents (
    incident bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    site text,
    alarm_group text NOT NULL, -- devices.dictionary AlarmKind.group
    kind text NOT NULL, -- the kind that opened it
    priority smallint NOT NULL,
    zone text, -- where its first alarm was
    place text NOT NULL DEFAULT '', -- the zone when alarms join by zone, else ''
    subject text NOT NULL, -- the device when alarms join by device (a person, a vehicle, a fault), else ''
    phase text NOT NULL, -- derived from incident_steps by the fold; kept beside them so that lists are one index scan
    opened_at timestamptz NOT NULL, -- observed_at of its first alarm
    last_alarm_at timestamptz NOT NULL, -- observed_at of its latest alarm
    late boolean NOT NULL,
    alarm_count integer NOT NULL,
    uncleared text[] NOT NULL, -- "device kind component" of every alarm still raised
    previous bigint REFERENCES incidents, -- the closed incident that this one re-raises
    merged_into bigint REFERENCES incidents, -- a late alarm showed that both were one case; the phase is closed then
    version integer NOT NULL DEFAULT 0, -- number of steps: optimistic lock of the API (ETag)
    head bytea NOT NULL DEFAULT decode(repeat('00', 32), 'hex'), -- hash of the newest step (hub.chain)
    sealed integer NOT NULL DEFAULT 0 -- number of the newest step that is in a seal
);
CREATE INDEX incidents_unsealed ON incidents (incident) WHERE version > sealed;
CREATE INDEX incidents_open ON incidents (alarm_group, place, subject) WHERE phase <> 'closed';
CREATE INDEX incidents_key ON incidents (alarm_group, place, subject, last_alarm_at);
CREATE INDEX incidents_list ON incidents (opened_at DESC, incident DESC);
CREATE INDEX incidents_site ON incidents (site, opened_at DESC, incident DESC);
CREATE INDEX incidents_active ON incidents (opened_at DESC, incident DESC) WHERE phase <> 'closed';

CREATE TABLE incident_alarms ( -- each raised alarm that counts for an incident, once, however often it was delivered
    device text NOT NULL,
    kind text NOT NULL,
    component text NOT NULL,
    observed_at timestamptz NOT NULL,
    zone text NOT NULL, -- what two gateways hear at one instant of one device, and place differently, are two alarms
    incident bigint NOT NULL REFERENCES incidents,
    PRIMARY KEY (device, kind, component, observed_at, zone)
);
CREATE INDEX incident_alarms_incident ON incident_alarms (incident);

CREATE TABLE incident_conditions ( -- the newest raise of each condition in an incident, however often it was repeated
    incident bigint NOT NULL REFERENCES incidents,
    device text NOT NULL,
    kind text NOT NULL,
    component text NOT NULL,
    raised_at timestamptz NOT NULL,
    PRIMARY KEY (incident, device, kind, component)
);

CREATE TABLE alarm_conditions ( -- newest raise and newest clear of every condition; raised while raised_at >= cleared_at
    device text NOT NULL,
    kind text NOT NULL,
    component text NOT NULL,
    raised_at timestamptz,
    cleared_at timestamptz,
    PRIMARY KEY (device, kind, component)
) WITH (fillfactor = 70);

CREATE TABLE incident_steps ( -- append-only
    incident bigint NOT NULL REFERENCES incidents,
    number integer NOT NULL,
    action text NOT NULL,
    actor text NOT NULL, -- user name, or "device:…", or "hub"
    at timestamptz NOT NULL,
    cause text NOT NULL DEFAULT '', -- reason given, or the alarm that caused it
    phase text NOT NULL, -- phase after this step
    detail jsonb NOT NULL DEFAULT '{}',
    hash bytea NOT NULL, -- hub.chain
    PRIMARY KEY (incident, number)
);

CREATE TABLE step_seals ( -- append-only: what was true of the log, signed (hub.chain.Seal)
    number integer PRIMARY KEY,
    at timestamptz NOT NULL,
    incidents bigint[] NOT NULL, -- those it names
    content text NOT NULL,
    signature bytea NOT NULL,
    signed_by bytea NOT NULL -- public key, raw
);
CREATE INDEX step_seals_incidents ON step_seals USING gin (incidents);

CREATE TABLE enrolments ( -- devices that people enrolled here; a gateway's own file may enrol others
    gateway text NOT NULL REFERENCES gateways,
    device text NOT NULL REFERENCES devices, -- its name and place stand there
    link text NOT NULL, -- of the gateway, where it knocked; '' = any of its family
    actor text NOT NULL,
    at timestamptz NOT NULL,
    document integer NOT NULL DEFAULT 0, -- version of the gateway's document "devices" that says so
    PRIMARY KEY (gateway, device)
);

CREATE TABLE enrolment_steps ( -- append-only
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    gateway text NOT NULL,
    device text NOT NULL,
    action text NOT NULL, -- enrol, change or withdraw
    actor text NOT NULL,
    at timestamptz NOT NULL,
    detail jsonb NOT NULL -- what was given
);

CREATE TABLE incident_looks ( -- an operator had the incident on the screen: the first look after each new alarm
    incident bigint NOT NULL REFERENCES incidents,
    through timestamptz NOT NULL, -- committed_at of the newest alarm that was there to see
    at timestamptz NOT NULL,
    actor text NOT NULL,
    PRIMARY KEY (incident, through)
);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END $$;
CREATE TRIGGER incident_steps_append_only BEFORE UPDATE OR DELETE ON incident_steps
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER step_seals_append_only BEFORE UPDATE OR DELETE ON step_seals
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER enrolment_steps_append_only BEFORE UPDATE OR DELETE ON enrolment_steps
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER zone_steps_append_only BEFORE UPDATE OR DELETE ON zone_steps
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TABLE outbox ( -- effects of a transaction, carried out after it: notifications, live changes
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel text NOT NULL, -- "notify"
    body jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    due_at timestamptz NOT NULL DEFAULT now(), -- not tried before this
    attempts integer NOT NULL DEFAULT 0,
    done_at timestamptz, -- delivered, or given up
    error text -- of the last attempt; null when delivered
);
CREATE INDEX outbox_open ON outbox (channel, md5(body->>'url'), due_at, id) WHERE done_at IS NULL;
CREATE INDEX outbox_done ON outbox (done_at) WHERE done_at IS NOT NULL;

CREATE TABLE users (
    name text PRIMARY KEY,
    password_hash text NOT NULL,
    display_name text NOT NULL,
    role text NOT NULL DEFAULT 'operator',
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE sessions (
    token_hash bytea PRIMARY KEY,
    name text NOT NULL REFERENCES users ON DELETE CASCADE,
    expires_at timestamptz NOT NULL
);
CREATE INDEX sessions_of_user ON sessions (name, expires_at);

CREATE TABLE documents (
    audience text NOT NULL,
    name text NOT NULL,
    version integer NOT NULL,
    content bytea NOT NULL, -- the signed bytes as published
    body_sha256 bytea NOT NULL, -- of what it says, as JSON
    signed_by bytea NOT NULL, -- the hub's public key, raw
    expires_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (audience, name, version)
);
