-- What was changed while running; NULL: as it was given at start.
CREATE TABLE settings (
	one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
	endpoint TEXT,
	dns TEXT, -- addresses with commas between them, '' for none
	mtu INTEGER,
	keepalive INTEGER,
	credential_lifetime INTEGER, -- seconds, 0: without an end
	traffic_minutes INTEGER, -- days
	traffic_hours INTEGER,
	traffic_days INTEGER,
	audit_retention INTEGER, -- days
	updated_at INTEGER NOT NULL,
	revision INTEGER NOT NULL
) STRICT;
INSERT INTO settings (one, updated_at, revision) VALUES (1, 0, 1);

-- Second factors (RFC 6238). One that is not confirmed is not asked for.
CREATE TABLE totp (
	user_id BLOB NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
	secret BLOB NOT NULL, -- sealed with the master key
	confirmed INTEGER NOT NULL CHECK (confirmed IN (0, 1)),
	used_step INTEGER NOT NULL, -- the last time step whose code was taken
	created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
