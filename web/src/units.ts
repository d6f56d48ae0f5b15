// Figures and times in words.

function scaled(n: number, units: string[]): string {
	let i = 0;

	while (n >= 999.5 && i < units.length - 1) {
		n /= 1000;
		i++;
	}
	return `${i === 0 || n >= 99.95 ? Math.round(n) : n.toFixed(1)}\u00a0${units[i]}`;
}

export const bytes = (n: number) => scaled(n, ['B', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB']);
export const rate = (bps: number) => scaled(bps, ['bit/s', 'kbit/s', 'Mbit/s', 'Gbit/s', 'Tbit/s']);
export const count = (n: number) => n.toLocaleString('en');

export function plural(n: number, one: string, many = `${one}s`): string {
	return `${count(n)} ${n === 1 ? one : many}`;
}

/** The two greatest units of a time that has passed. */
export function duration(seconds: number): string {
	const s = Math.max(0, Math.floor(seconds));

	if (s < 60)
		return `${s} s`;
	if (s < 3600)
		return `${Math.floor(s / 60)} min`;
	if (s < 86400)
		return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
	return `${plural(Math.floor(s / 86400), 'day')} ${Math.floor((s % 86400) / 3600)} h`;
}

const full = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
const short = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' });
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium' });

export const fullTime = (iso: string) => full.format(new Date(iso));
export const shortTime = (iso: string) => short.format(new Date(iso));
export const clockTime = (iso: string | number) => clock.format(new Date(iso));

/** "5 min ago", "in 2 days"; farther than a month away, the date. */
export function relative(iso: string, now = Date.now()): string {
	const ms = Date.parse(iso) - now;
	const s = Math.abs(ms) / 1000;
	const put = (text: string) => (ms < 0 ? `${text} ago` : `in ${text}`);

	if (s < 10)
		return ms <= 0 ? 'just now' : 'in a moment';
	if (s < 60)
		return put(`${Math.floor(s)} s`);
	if (s < 3600)
		return put(`${Math.floor(s / 60)} min`);
	if (s < 86400)
		return put(`${Math.floor(s / 3600)} h`);
	if (s < 32 * 86400)
		return put(plural(Math.floor(s / 86400), 'day'));
	return shortTime(iso);
}

export const PROTOCOLS = { wireguard: 'WireGuard', openvpn: 'OpenVPN' } as const;

export function carrier(s: { protocol: 'wireguard' | 'openvpn'; transport: string | null }): string {
	return s.protocol === 'openvpn' && s.transport
		? `${PROTOCOLS.openvpn} ${s.transport.toUpperCase()}`
		: PROTOCOLS[s.protocol];
}

/** What a local date and time field holds, as the API writes it; null: nothing. */
export function fromLocal(value: string): string | null {
	const at = value ? new Date(value) : null;

	return at && !Number.isNaN(at.getTime()) ? at.toISOString() : null;
}

/** The other way round. */
export function toLocal(iso: string | null): string {
	if (!iso)
		return '';
	const at = new Date(iso);

	return new Date(at.getTime() - at.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
}
