-- Every statement of the spool. Rows of one lane are kept in chunks: what one group commit brought, as the text that
-- will stand in a Batch. A chunk goes when the hub has committed its last row, or when it is evicted.

-- create_meta --
-- One row per name: epoch, and small values that outlive a restart (`kept:*`).
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- create_lanes --
CREATE TABLE IF NOT EXISTS lanes (
    lane TEXT PRIMARY KEY,
    appended INTEGER NOT NULL,        -- the last seq given out
    committed INTEGER NOT NULL,       -- the last seq the hub has
    dropped_through INTEGER NOT NULL, -- the last seq that was evicted, or could not be read any more
    dropped INTEGER NOT NULL,         -- how many such rows the hub never had
    sent INTEGER NOT NULL,            -- the last seq that was sent; the hub may have it
    declared INTEGER NOT NULL         -- up to here the hub was told of what was dropped
) WITHOUT ROWID;

-- create_chunks --
CREATE TABLE IF NOT EXISTS chunks (
    lane TEXT NOT NULL,
    last INTEGER NOT NULL,
    first INTEGER NOT NULL,
    crc INTEGER NOT NULL,             -- crc32 of the body
    body BLOB NOT NULL,
    PRIMARY KEY (lane, last)
);

-- create_reports --
-- What was accepted lately, packed by edge/reports.py; the only use is to know a second delivery.
CREATE TABLE IF NOT EXISTS reports (number INTEGER PRIMARY KEY, body BLOB NOT NULL);

-- put_meta --
INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value;

-- drop_meta --
DELETE FROM meta WHERE name = ?;

-- get_meta --
SELECT value FROM meta WHERE name = ?;

-- get_lane --
SELECT appended, committed, dropped_through, dropped, sent, declared FROM lanes WHERE lane = ?;

-- put_lane --
INSERT INTO lanes (lane, appended, committed, dropped_through, dropped, sent, declared) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (lane) DO UPDATE SET appended = excluded.appended, committed = excluded.committed,
    dropped_through = excluded.dropped_through, dropped = excluded.dropped, sent = excluded.sent,
    declared = excluded.declared;

-- count_rows --
SELECT coalesce(sum(last - first + 1), 0) FROM chunks WHERE lane = ? AND last <= ?;

-- count_rows_between --
-- Rows of (?2, ?3].
SELECT coalesce(sum(min(last, ?3) - max(first - 1, ?2)), 0) FROM chunks WHERE lane = ?1 AND last > ?2 AND first <= ?3;

-- add_chunk --
INSERT INTO chunks (lane, first, last, crc, body) VALUES (?, ?, ?, ?, ?);

-- next_chunks --
SELECT first, last, crc, body FROM chunks WHERE lane = ? AND last > ? ORDER BY last;

-- oldest_chunk --
SELECT first, last FROM chunks WHERE lane = ? AND last > ? ORDER BY last LIMIT 1;

-- drop_chunk --
DELETE FROM chunks WHERE lane = ? AND last = ?;

-- forget_chunks --
DELETE FROM chunks WHERE lane = ? AND last <= ?;

-- all_meta --
SELECT name, value FROM meta;

-- salvage_numbers --
SELECT rowid, lane FROM chunks NOT INDEXED WHERE rowid > ? ORDER BY rowid;

-- salvage_chunk --
SELECT first, last, crc, body FROM chunks WHERE rowid = ?;

-- add_reports --
INSERT INTO reports (body) VALUES (?);

-- all_reports --
SELECT body FROM reports ORDER BY number;

-- clear_reports --
DELETE FROM reports;
