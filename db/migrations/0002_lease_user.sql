-- Whose device it was that a resting lease belonged to, so that what one user keeps from the others
-- can be counted.
ALTER TABLE leases ADD COLUMN rests_of BLOB CHECK (length(rests_of) = 16);
CREATE INDEX leases_by_rests_of ON leases (rests_of, kind) WHERE rests_of IS NOT NULL;
