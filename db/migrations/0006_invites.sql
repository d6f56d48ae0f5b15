-- One-time links. Of the text in the link only the SHA-256 is here.
CREATE TABLE invites (
	id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
	device_id BLOB NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
	created_by BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	role INTEGER NOT NULL CHECK (role BETWEEN 0 AND 3), -- that it was made with
	protocol INTEGER NOT NULL CHECK (protocol IN (1, 2)),
	sha256 BLOB NOT NULL UNIQUE CHECK (length(sha256) = 32),
	created_at INTEGER NOT NULL,
	expires_at INTEGER NOT NULL,
	used_at INTEGER NOT NULL,
	credential_id BLOB CHECK (length(credential_id) = 16), -- what it became; no reference
	CHECK ((used_at = 0) = (credential_id IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX invites_by_device ON invites (device_id, id);
CREATE INDEX invites_by_creator ON invites (created_by);
CREATE INDEX invites_by_expiry ON invites (expires_at);

-- Requests with an Idempotency-Key that were carried out, each written with what it made.
CREATE TABLE requests_made (
	user_id BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	key_sha256 BLOB NOT NULL CHECK (length(key_sha256) = 32),
	request BLOB NOT NULL, -- hash of what was asked for, sealed: it may have held a password
	created_at INTEGER NOT NULL,
	object TEXT NOT NULL, -- what was made, "dev_..."; '' for none
	status INTEGER NOT NULL,
	location TEXT NOT NULL,
	etag TEXT NOT NULL,
	body TEXT, -- NULL: it held a secret, or was never finished
	PRIMARY KEY (user_id, key_sha256)
) STRICT;
CREATE INDEX requests_made_by_user ON requests_made (user_id, created_at);
CREATE INDEX requests_made_by_time ON requests_made (created_at);
