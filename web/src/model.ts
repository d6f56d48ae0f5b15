// The API's objects, as GET /v1/openapi.json describes them.

export type Role = 'user' | 'auditor' | 'operator' | 'admin';
export type Protocol = 'wireguard' | 'openvpn';
export type Transport = 'udp' | 'tcp';

export interface User {
	id: string;
	name: string;
	display_name: string | null;
	email: string | null;
	role: Role;
	disabled: boolean;
	totp: boolean;
	created_at: string;
	updated_at: string;
}

export interface Me {
	user: User;
	role: Role;
}

export interface Counters {
	rx_bytes: number;
	tx_bytes: number;
	rx_packets: number;
	tx_packets: number;
}

export interface Credential {
	id: string;
	device_id: string;
	protocol: Protocol;
	fingerprint: string;
	created_at: string;
	expires_at: string | null;
	revoked_at: string | null;
}

export interface Issued extends Credential {
	profile: string;
	profile_filename: string;
	qr_svg: string | null;
}

export interface Invite {
	id: string;
	device_id: string;
	created_by: string;
	protocol: Protocol;
	created_at: string;
	expires_at: string;
	used_at: string | null;
	credential_id: string | null;
}

export interface NewInvite extends Invite {
	url: string;
}

export interface DeviceStatus extends Counters {
	connected: boolean;
	protocol: Protocol | null;
	transport: Transport | null;
	cipher: string | null;
	tls_version: string | null;
	endpoint: string | null;
	connected_since: string | null;
	last_handshake_at: string | null;
}

export interface Device {
	id: string;
	user_id: string;
	name: string;
	address4: string | null;
	address6: string | null;
	enabled: boolean;
	expires_at: string | null;
	credentials: Credential[];
	status: DeviceStatus;
	created_at: string;
	updated_at: string;
}

export interface Session extends Counters {
	id: string;
	device_id: string;
	user_id: string;
	protocol: Protocol;
	transport: Transport;
	cipher: string;
	tls_version: string | null;
	endpoint: string | null;
	started_at: string;
	last_handshake_at: string | null;
}

export interface Token {
	id: string;
	user_id: string;
	name: string;
	role: Role;
	created_at: string;
	expires_at: string | null;
	last_used_at: string | null;
}

export interface NewToken extends Token {
	token: string;
}

export interface AuditEntry {
	sequence: number;
	at: string;
	actor: { user_id: string; name: string; via: 'token' | 'login' | null; token_id: string | null } | null;
	from: string | null;
	action: string;
	object: string | null;
	outcome: 'ok' | 'failed' | 'limited' | 'denied';
	detail: string | null;
	hash: string;
}

export interface AuditState {
	ok: boolean;
	rows: number;
	first: number | null;
	last: number | null;
	broken_at: number | null;
	hash: string;
}

export interface SettingsValues {
	endpoint: string;
	dns: string[];
	mtu: number;
	keepalive: number;
	credential_lifetime_s: number | null;
	traffic_retention: { minutes: number; hours: number; days: number };
	audit_retention_days: number;
}

export interface Settings extends SettingsValues {
	defaults: SettingsValues;
	updated_at: string | null;
}

export interface Totp {
	secret: string;
	otpauth_url: string;
	qr_svg: string | null;
}

export interface DataplaneStatus extends Counters {
	connected: boolean;
	version: string | null;
	tun: string | null;
	listen: string[];
	workers: number;
	peers: number;
	sessions: number;
	uptime_s: number;
	drops: Record<string, number>;
	last_sync_ms: number;
}

export interface Status {
	version: string;
	uptime_s: number;
	started_at: string;
	database: { ok: boolean; schema_version: number };
	dataplane: DataplaneStatus;
}

/** When a step begins, inner bytes received and sent in it. */
export type Point = [at: string, rx: number, tx: number];

export interface Traffic {
	from: string;
	to: string;
	step: number;
	series: { device_id: string | null; points: Point[] }[];
}

export interface Page<T> {
	items: T[];
	next_cursor: string | null;
}

// ---- events ----

export interface SessionEvent {
	at: string;
	session: Session;
	reason?: string;
	previous_endpoint?: string | null;
}

export interface DeviceEvent {
	at: string;
	device_id: string;
	user_id: string;
	change: string;
}

export interface TrafficEvent {
	at: string;
	interval_ms: number;
	rx_bps: number;
	tx_bps: number;
	totals: { rx_bytes: number; tx_bytes: number; devices: number };
	devices: [id: string, rx: number, tx: number][];
}
