-- Ids are ULIDs (16 bytes), times Unix milliseconds (0: none), booleans 0 or 1. Never edit a
-- migration that was released: append the next one.

CREATE TABLE meta (
	key TEXT NOT NULL PRIMARY KEY,
	txt TEXT,
	bin BLOB,
	CHECK ((txt IS NULL) <> (bin IS NULL))
) STRICT, WITHOUT ROWID;

CREATE TABLE users (
	id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
	name TEXT NOT NULL,
	name_key TEXT NOT NULL UNIQUE, -- the name in lower case
	display_name TEXT NOT NULL,
	email TEXT NOT NULL,
	role INTEGER NOT NULL CHECK (role BETWEEN 0 AND 3),
	password TEXT, -- scrypt, with its parameters and salt
	disabled INTEGER NOT NULL CHECK (disabled IN (0, 1)),
	created_at INTEGER NOT NULL,
	updated_at INTEGER NOT NULL,
	revision INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE devices (
	id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
	user_id BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	name TEXT NOT NULL,
	peer_id INTEGER NOT NULL UNIQUE CHECK (peer_id BETWEEN 0 AND 65535), -- slot in the dataplane
	address4 BLOB NOT NULL UNIQUE CHECK (length(address4) = 4),
	address6 BLOB NOT NULL UNIQUE CHECK (length(address6) = 16),
	enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),
	expires_at INTEGER NOT NULL,
	created_at INTEGER NOT NULL,
	updated_at INTEGER NOT NULL,
	revision INTEGER NOT NULL,
	UNIQUE (user_id, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX devices_by_user ON devices (user_id, id);

-- What a device holds of a scarce kind: 0 a dataplane slot, 4 and 6 a tunnel address, big-endian.
-- A released one stays for its quarantine. The reference has no cascade on purpose: a device can't
-- be deleted without releasing its leases. Deferred, because a lease is taken before its device is
-- inserted.
CREATE TABLE leases (
	kind INTEGER NOT NULL CHECK (kind IN (0, 4, 6)),
	value BLOB NOT NULL,
	device_id BLOB REFERENCES devices (id) DEFERRABLE INITIALLY DEFERRED,
	released_at INTEGER,
	PRIMARY KEY (kind, value),
	CHECK ((device_id IS NULL) <> (released_at IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX leases_by_device ON leases (device_id) WHERE device_id IS NOT NULL;
CREATE INDEX leases_by_release ON leases (released_at) WHERE released_at IS NOT NULL;

CREATE TABLE lease_next (
	kind INTEGER NOT NULL PRIMARY KEY,
	value BLOB NOT NULL
) STRICT;

CREATE TABLE credentials (
	id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
	device_id BLOB NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
	protocol INTEGER NOT NULL CHECK (protocol IN (1, 2)),
	fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 32),
	wg_public BLOB CHECK (length(wg_public) = 32),
	wg_psk BLOB, -- sealed with the master key; gone when revoked
	created_at INTEGER NOT NULL,
	expires_at INTEGER NOT NULL,
	revoked_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX credentials_by_device ON credentials (device_id, id);
CREATE UNIQUE INDEX credentials_by_wg_public ON credentials (wg_public) WHERE revoked_at = 0;

CREATE TABLE tokens (
	id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
	user_id BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	name TEXT NOT NULL,
	role INTEGER NOT NULL CHECK (role BETWEEN 0 AND 3),
	sha256 BLOB NOT NULL UNIQUE CHECK (length(sha256) = 32),
	created_at INTEGER NOT NULL,
	expires_at INTEGER NOT NULL,
	last_used_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX tokens_by_user ON tokens (user_id, id);

CREATE TABLE logins (
	id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
	user_id BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	cookie_sha256 BLOB NOT NULL UNIQUE CHECK (length(cookie_sha256) = 32),
	csrf_sha256 BLOB NOT NULL CHECK (length(csrf_sha256) = 32),
	created_at INTEGER NOT NULL,
	last_used_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX logins_by_user ON logins (user_id, id);

-- What the control plane wants to know again after a restart.
CREATE TABLE device_state (
	device_id BLOB NOT NULL PRIMARY KEY REFERENCES devices (id) ON DELETE CASCADE,
	boot_id BLOB NOT NULL CHECK (length(boot_id) = 16),
	epoch INTEGER NOT NULL,
	rx_bytes INTEGER NOT NULL,
	tx_bytes INTEGER NOT NULL,
	rx_packets INTEGER NOT NULL,
	tx_packets INTEGER NOT NULL,
	seen_rx_bytes INTEGER NOT NULL,
	seen_tx_bytes INTEGER NOT NULL,
	seen_rx_packets INTEGER NOT NULL,
	seen_tx_packets INTEGER NOT NULL,
	remote_address BLOB NOT NULL, -- 0, 4 or 16 bytes
	remote_port INTEGER NOT NULL,
	remote_scope INTEGER NOT NULL,
	local_address BLOB NOT NULL,
	listener INTEGER NOT NULL,
	credential_id BLOB NOT NULL CHECK (length(credential_id) = 16),
	last_handshake_at INTEGER NOT NULL,
	was_up INTEGER NOT NULL CHECK (was_up IN (0, 1))
) STRICT, WITHOUT ROWID;

CREATE TABLE credential_state (
	credential_id BLOB NOT NULL PRIMARY KEY REFERENCES credentials (id) ON DELETE CASCADE,
	wg_greatest BLOB NOT NULL CHECK (length(wg_greatest) = 12)
) STRICT, WITHOUT ROWID;
