-- A data packet that tells an OpenVPN client over UDP to connect anew, sealed by the dataplane that
-- has its session, for the time when that is gone; empty: none. Not a key, and nothing to read.
ALTER TABLE device_state ADD COLUMN farewell BLOB NOT NULL DEFAULT x'' CHECK (length(farewell) <= 64);
