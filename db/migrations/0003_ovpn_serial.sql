-- The serial number of an OpenVPN credential's certificate, never given twice. A WireGuard one has
-- none.
ALTER TABLE credentials ADD COLUMN ovpn_serial BLOB
	CHECK (length(ovpn_serial) = 16 AND (ovpn_serial IS NOT NULL) = (protocol = 2));
CREATE UNIQUE INDEX credentials_by_ovpn_serial ON credentials (ovpn_serial)
	WHERE ovpn_serial IS NOT NULL;
