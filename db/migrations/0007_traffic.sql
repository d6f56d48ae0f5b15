-- Traffic history. A series is a device, or (number 1, no device) all devices together, also those
-- that are deleted by now. Its small number stands in every row and is never given twice.
--
-- The mark is what the dataplane had counted when the series was last written; it moves in the same
-- transaction as the rows, so nothing is counted twice, whoever was killed when.
CREATE TABLE traffic_series (
	number INTEGER PRIMARY KEY AUTOINCREMENT,
	device_id BLOB UNIQUE CHECK (length(device_id) = 16) REFERENCES devices (id) ON DELETE CASCADE,
	boot_id BLOB NOT NULL CHECK (length(boot_id) = 16),
	epoch INTEGER NOT NULL,
	rx_bytes INTEGER NOT NULL,
	tx_bytes INTEGER NOT NULL
) STRICT;
INSERT INTO traffic_series (number, device_id, boot_id, epoch, rx_bytes, tx_bytes)
	VALUES (1, NULL, zeroblob(16), 0, 0, 0);
-- What was counted before there was a history is not of the minute in which it begins.
INSERT INTO traffic_series (device_id, boot_id, epoch, rx_bytes, tx_bytes)
	SELECT device_id, boot_id, epoch, seen_rx_bytes, seen_tx_bytes FROM device_state;

-- In the order of time, so that a minute's rows are appended, and purged, side by side.
CREATE TABLE traffic (
	step INTEGER NOT NULL CHECK (step IN (60, 3600, 86400)), -- seconds
	at INTEGER NOT NULL, -- Unix seconds, begin of the step
	series INTEGER NOT NULL,
	rx_bytes INTEGER NOT NULL,
	tx_bytes INTEGER NOT NULL,
	PRIMARY KEY (step, at, series)
) STRICT, WITHOUT ROWID;
