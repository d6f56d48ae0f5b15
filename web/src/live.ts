// What happens now: live sessions, what every device moves, the latest news. The lists are read once
// and then kept right by the event stream; nothing is asked for by the clock.
import { devices, users } from './catalog.ts';
import { login, readsAll } from './login.ts';
import type { DeviceEvent, Session, SessionEvent, Status, TrafficEvent } from './model.ts';
import { asProblem, get, pages, type Problem } from './rest.ts';
import { Track } from './ring.ts';
import { Source, Store } from './store.ts';
import { startStream, stopStream } from './stream.ts';

export interface News {
	key: string;
	at: string;
	kind: 'started' | 'ended' | 'roamed' | 'device' | 'dataplane';
	deviceId?: string;
	/** As it was called then. */
	deviceName?: string | undefined;
	userId?: string;
	text: string;
	bad?: boolean;
}

const NEWS_MAX = 100;

export const sessions = new Map<string, Session>();
export const sessionsChanged = new Source();
export const sessionsState = new Store<'loading' | 'ready' | Problem>('loading');
const sessionOf = new Map<string, string>();

export const tracks = new Map<string, Track>();
/** Changes with every round of traffic. */
export const pulse = new Source();
export let tick = 0;
export let latest: TrafficEvent | null = null;

/** Rises when something may have been missed, so that what was read is to be read again. */
export const epoch = new Store(0);

export const news: News[] = [];
export const newsChanged = new Source();

export const status = new Store<{ at: number; value: Status } | null>(null);
export const statusProblem = new Store<Problem | null>(null);
/** null: not known (yet). */
export const dataplaneUp = new Store<boolean | null>(null);

export function sessionOfDevice(id: string): Session | undefined {
	return sessions.get(sessionOf.get(id) ?? '');
}

// ---- news ----

function tell(item: Omit<News, 'key'>, key: string): void {
	if (news.some((n) => n.key === key))
		return;
	news.push({ ...item, key });
	news.sort((a, b) => (a.at < b.at ? 1 : -1));
	news.length = Math.min(news.length, NEWS_MAX);
	newsChanged.changed();
}

const ENDS: Record<string, string> = {
	ended: 'its tunnel is not there any more',
	replaced: 'a newer session took over',
	keys_expired: 'its keys grew too old',
	silent: 'nothing came from it for too long',
	client_left: 'the client said goodbye',
	connection_closed: 'its TCP connection was closed',
	revoked: 'revoked, disabled or deleted',
	expired: 'its time is over',
	killed: 'ended by an operator',
	dataplane_lost: 'the dataplane is gone',
};

const CHANGES: Record<string, string> = {
	created: 'was added',
	updated: 'was changed',
	deleted: 'was deleted',
	credential_issued: 'got a credential',
	credential_revoked: 'had a credential revoked',
	user_disabled: 'can’t connect: its user was disabled',
	user_enabled: 'can connect: its user was enabled',
};

function startedText(s: Session): string {
	return `connected${s.endpoint ? ` from ${s.endpoint}` : ''}`;
}

function sessionText(kind: 'started' | 'ended' | 'roamed', e: SessionEvent): string {
	if (kind === 'started')
		return startedText(e.session);
	if (kind === 'roamed')
		return `moved to ${e.session.endpoint ?? 'another address'}`;
	return `disconnected: ${ENDS[e.reason ?? ''] ?? e.reason ?? ''}`;
}

// ---- sessions ----

function keep(s: Session): void {
	const before = sessions.get(sessionOf.get(s.device_id) ?? '');

	sessions.set(s.id, s);
	if (!before || before.started_at <= s.started_at)
		sessionOf.set(s.device_id, s.id);
}

function drop(s: Session): void {
	sessions.delete(s.id);
	if (sessionOf.get(s.device_id) === s.id)
		sessionOf.delete(s.device_id);
}

// While the list is being read, what the stream says is newer than what the list says.
let reading: { ended: Set<string>; heard: Map<string, Session> } | null = null;
let readings: AbortController | null = null;

function take(list: Session[], told: NonNullable<typeof reading>): void {
	sessions.clear();
	sessionOf.clear();
	for (const s of [...list, ...told.heard.values()]) {
		if (!told.ended.has(s.id))
			keep(s);
	}
	for (const s of [...sessions.values()].sort((a, b) => (a.started_at < b.started_at ? 1 : -1)).slice(0, 20))
		tellStarted(s);
}

function tellStarted(s: Session): void {
	tell(
		{
			at: s.started_at,
			kind: 'started',
			deviceId: s.device_id,
			userId: s.user_id,
			text: startedText(s),
		},
		`started ${s.id}`,
	);
}

export async function readSessions(): Promise<void> {
	const told = { ended: new Set<string>(), heard: new Map<string, Session>() };
	const list: Session[] = [];

	readings?.abort();
	const mine = (readings = new AbortController());

	reading = told;
	try {
		for await (const page of pages<Session>('/v1/sessions', mine.signal))
			list.push(...page);
		take(list, told);
		sessionsState.set('ready');
	} catch (e) {
		if (mine.signal.aborted)
			return;
		if (sessionsState.value !== 'ready')
			sessionsState.set(asProblem(e));
	}
	reading = null;
	sessionsChanged.changed();
}

function onSession(kind: 'started' | 'ended' | 'roamed', e: SessionEvent): void {
	const s = e.session;

	if (kind === 'ended') {
		reading?.ended.add(s.id);
		drop(s);
	} else {
		reading?.heard.set(s.id, s);
		keep(s);
	}
	devices.onSession(s, kind === 'ended' && sessionOf.has(s.device_id) === false);
	if (kind === 'started')
		tellStarted(s);
	else
		tell(
			{
				at: e.at,
				kind,
				deviceId: s.device_id,
				userId: s.user_id,
				text: sessionText(kind, e),
				bad: kind === 'ended' && e.reason !== 'client_left' && e.reason !== 'replaced',
			},
			`${kind} ${s.id} ${e.at}`,
		);
	sessionsChanged.changed();
}

function onDevice(e: DeviceEvent): void {
	const deviceName = devices.peek(e.device_id)?.name;

	devices.onChange(e);
	tell(
		{
			at: e.at,
			kind: 'device',
			deviceId: e.device_id,
			deviceName,
			userId: e.user_id,
			text: CHANGES[e.change] ?? e.change,
		},
		`${e.change} ${e.device_id} ${e.at}`,
	);
}

// ---- traffic ----

function track(id: string): Track {
	let t = tracks.get(id);

	if (!t)
		tracks.set(id, (t = new Track()));
	return t;
}

function sweep(): void {
	for (const [id, t] of tracks) {
		if (t.silent(tick))
			tracks.delete(id);
	}
}

function onTraffic(e: TrafficEvent): void {
	const per = 8000 / Math.max(e.interval_ms, 1);

	tick++;
	latest = e;
	for (const [id, rx, tx] of e.devices) {
		const s = sessionOfDevice(id);

		track(id).put(tick, rx * per, tx * per);
		devices.onMoved(id, rx, tx);
		if (s) {
			s.rx_bytes += rx;
			s.tx_bytes += tx;
		}
	}
	if (tick % 60 === 0)
		sweep();
	pulse.changed();
}

// ---- the service ----

export async function readStatus(): Promise<void> {
	if (login.value.state !== 'in' || !readsAll(login.value.role))
		return;
	try {
		const value = await get<Status>('/v1/status');

		status.set({ at: Date.now(), value });
		statusProblem.set(null);
		dataplaneUp.set(value.dataplane.connected);
	} catch (e) {
		statusProblem.set(asProblem(e));
	}
}

function onDataplane(connected: boolean, at: string): void {
	dataplaneUp.set(connected);
	tell(
		{
			at,
			kind: 'dataplane',
			text: connected ? 'The dataplane is connected' : 'The dataplane went away',
			bad: !connected,
		},
		`dataplane ${connected} ${at}`,
	);
	void readStatus();
}

function readAgain(): void {
	epoch.set(epoch.value + 1);
	void readSessions();
	void readStatus();
	devices.readAgain();
	users.readAgain();
}

/** After a sign-in. Returns what ends it and forgets everything. */
export function startLive(): () => void {
	startStream({
		session: onSession,
		device: onDevice,
		traffic: onTraffic,
		dataplane: onDataplane,
		missed: readAgain,
	});
	return () => {
		stopStream();
		readings?.abort();
		sessions.clear();
		sessionOf.clear();
		tracks.clear();
		news.length = 0;
		latest = null;
		sessionsState.set('loading');
		status.set(null);
		dataplaneUp.set(null);
		devices.forget();
		users.forget();
	};
}
