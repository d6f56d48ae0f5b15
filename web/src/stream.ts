// The API's event stream. The browser connects again by itself when the network fails, and says
// where it was; what it gives up on (an answer that is no stream) is opened anew here.
import { findLogin } from './login.ts';
import type { DeviceEvent, SessionEvent, TrafficEvent } from './model.ts';
import { Store } from './store.ts';

export type Link = 'connecting' | 'live' | 'lost';
export const link = new Store<Link>('connecting');
/** Of the control plane that speaks; the first one heard is this page's own. */
export const versions = new Store<{ first: string; now: string } | null>(null);

export interface Listener {
	session(kind: 'started' | 'ended' | 'roamed', e: SessionEvent): void;
	device(e: DeviceEvent): void;
	traffic(e: TrafficEvent): void;
	dataplane(connected: boolean, at: string): void;
	/** Something between may have been missed: what is known must be read again. */
	missed(): void;
}

const AGAIN_MS = [1000, 2000, 4000, 8000, 15000];
// Traffic comes every second; a stream that is silent for so long is probably dead.
const SILENT_MS = 20000;

let source: EventSource | null = null;
let listener: Listener;
let failures = 0;
let timer = 0;
let watchdog = 0;
let fresh = true; // the next hello is of a stream that knows nothing of the one before

function alive(): void {
	clearTimeout(watchdog);
	watchdog = window.setTimeout(reopen, SILENT_MS);
}

// Without a dataplane there is no traffic to wait for.
function mayBeSilent(): void {
	clearTimeout(watchdog);
}

function reopen(): void {
	fresh = true;
	link.set('lost');
	open();
}

function on<T>(name: string, fn: (data: T) => void): void {
	source?.addEventListener(name, (e) => fn(JSON.parse((e as MessageEvent<string>).data) as T));
}

let skew = 0;

/** The server's time, in ms: what events and history are told in, however wrong this machine's is. */
export const serverNow = () => Date.now() + skew;

function onHello(hello: { at: string; version: string }): void {
	skew = Date.parse(hello.at) - Date.now();
	versions.set({ first: versions.value?.first ?? hello.version, now: hello.version });
	failures = 0;
	link.set('live');
	if (fresh)
		listener.missed();
	fresh = false;
}

function onError(): void {
	clearTimeout(watchdog);
	link.set('lost');
	if (source?.readyState !== EventSource.CLOSED)
		return;
	// The login may be over, or the server is not itself: ask, then try again.
	fresh = true;
	clearTimeout(timer);
	timer = window.setTimeout(
		() => void findLogin().then(() => source && open()),
		AGAIN_MS[Math.min(failures++, AGAIN_MS.length - 1)],
	);
}

function open(): void {
	source?.close();
	clearTimeout(timer);
	mayBeSilent();
	source = new EventSource('/v1/events');
	source.onerror = onError;
	on('hello', onHello);
	on('gap', () => listener.missed());
	on<SessionEvent>('session.started', (e) => listener.session('started', e));
	on<SessionEvent>('session.ended', (e) => listener.session('ended', e));
	on<SessionEvent>('session.roamed', (e) => listener.session('roamed', e));
	on<DeviceEvent>('device.changed', (e) => listener.device(e));
	on<TrafficEvent>('traffic', (e) => {
		alive();
		listener.traffic(e);
	});
	on<{ at: string }>('dataplane.connected', (e) => listener.dataplane(true, e.at));
	on<{ at: string }>('dataplane.lost', (e) => {
		mayBeSilent();
		listener.dataplane(false, e.at);
	});
}

export function startStream(to: Listener): void {
	listener = to;
	fresh = true;
	link.set('connecting');
	open();
}

export function stopStream(): void {
	clearTimeout(timer);
	clearTimeout(watchdog);
	source?.close();
	source = null;
	resting = false;
	versions.set(null);
}

// A browser has six connections to a server, and every open stream keeps one: a tab that nobody looks
// at gives it back.
const HIDDEN_MS = 60000;
let hidden = 0;
let resting = false;

document.addEventListener('visibilitychange', () => {
	clearTimeout(hidden);
	if (document.visibilityState === 'hidden') {
		hidden = window.setTimeout(rest, HIDDEN_MS);
	} else if (resting && source) {
		resting = false;
		link.set('connecting');
		fresh = true;
		open();
	}
});

function rest(): void {
	if (!source)
		return;
	resting = true;
	clearTimeout(timer);
	mayBeSilent();
	source.close();
}

// A machine that slept, or a tab that was frozen, tries at once.
addEventListener('online', () => {
	if (source && !resting && link.value === 'lost')
		reopen();
});
