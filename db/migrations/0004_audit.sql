-- Who did what to what, when and from where: rows that are only ever added, each with the hash of
-- itself and of the row before it. Only the oldest ever go, when their time is over. No references:
-- a row outlives what it speaks of.
CREATE TABLE audit (
	seq INTEGER NOT NULL PRIMARY KEY CHECK (seq > 0),
	at INTEGER NOT NULL,
	actor_id BLOB NOT NULL CHECK (length(actor_id) = 16), -- zero: nobody who is known
	actor_name TEXT NOT NULL, -- as it was
	via INTEGER NOT NULL CHECK (via BETWEEN 0 AND 2), -- 0 neither, 1 a token, 2 a login
	via_id BLOB NOT NULL CHECK (length(via_id) = 16),
	source BLOB NOT NULL CHECK (length(source) IN (0, 4, 16)), -- address
	action TEXT NOT NULL,
	object_kind TEXT NOT NULL, -- 'usr', 'dev', ...; '' for none
	object_id BLOB NOT NULL CHECK (length(object_id) = 16),
	outcome TEXT NOT NULL,
	detail TEXT NOT NULL,
	hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;
CREATE INDEX audit_by_actor ON audit (actor_id, seq);
CREATE INDEX audit_by_object ON audit (object_id, seq);
CREATE INDEX audit_by_action ON audit (action, seq);

-- The ends of the chain, under a MAC that only the master key can make. An empty MAC: nothing was
-- written yet.
CREATE TABLE audit_head (
	one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
	first INTEGER NOT NULL, -- the oldest row there is
	before BLOB NOT NULL CHECK (length(before) = 32), -- hash of the row before it
	last INTEGER NOT NULL, -- the newest; first - 1 for none
	hash BLOB NOT NULL CHECK (length(hash) = 32), -- its hash
	broken INTEGER NOT NULL, -- where it was found changed, 0: nowhere
	mac BLOB NOT NULL CHECK (length(mac) IN (0, 32))
) STRICT;
INSERT INTO audit_head VALUES (1, 1, zeroblob(32), 0, zeroblob(32), 0, x'');
