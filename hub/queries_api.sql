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
);
