// What an operator leaves open all day.
import { useEffect, useState } from 'preact/hooks';
import { devices } from '../catalog.ts';
import {
	dataplaneUp,
	news,
	newsChanged,
	pulse,
	readStatus,
	sessions,
	sessionsChanged,
	sessionsState,
	status,
	statusProblem,
	tick,
	tracks,
	latest,
	type News,
} from '../live.ts';
import { me, readsAll } from '../login.ts';
import type { Device, Page, Status } from '../model.ts';
import { get } from '../rest.ts';
import { place, refine } from '../router.ts';
import { rangeOf } from '../history.ts';
import { useSource, useStore } from '../store.ts';
import { link } from '../stream.ts';
import { Ago, DeviceName, Panel, UserName } from '../ui/bits.tsx';
import { HistoryPanel } from '../ui/chart.tsx';
import { Button, LinkButton } from '../ui/form.tsx';
import { Failed, Loading, ProblemNote } from '../ui/states.tsx';
import { clockTime, count, duration, plural, PROTOCOLS, rate, fullTime } from '../units.ts';

const EVERYTHING = {
	query: '',
	moved: (e: { totals: { rx_bytes: number; tx_bytes: number } }): [number, number] => [
		e.totals.rx_bytes,
		e.totals.tx_bytes,
	],
};

function Tile(p: { name: string; value: preact.ComponentChildren; note?: preact.ComponentChildren; mood?: 'ok' | 'bad' | 'wait' }) {
	return (
		<div class={`tile ${p.mood ?? ''}`}>
			<dt>{p.name}</dt>
			<dd>
				<span class="value">{p.value}</span>
				<span class="tile-note">{p.note}</span>
			</dd>
		</div>
	);
}

function uptime(s: Status): string {
	return duration((Date.now() - Date.parse(s.started_at)) / 1000);
}

function ServiceTiles() {
	const now = useStore(status);
	const up = useStore(dataplaneUp);
	const state = useStore(link);
	const known = state === 'lost' ? null : up;

	return (
		<>
			<Tile
				name="Control plane"
				mood={state === 'live' ? 'ok' : state === 'lost' ? 'bad' : 'wait'}
				value={state === 'live' ? 'Running' : state === 'lost' ? 'Not connected' : 'Connecting'}
				note={
					now && (
						<span title={`Since ${fullTime(now.value.started_at)}`}>
							{now.value.version}, up {uptime(now.value)}
						</span>
					)
				}
			/>
			<Tile
				name="Dataplane"
				mood={known === null ? 'wait' : known ? 'ok' : 'bad'}
				value={known === null ? 'Unknown' : known ? 'Connected' : 'Lost'}
				note={
					now &&
					known && (
						<>
							{now.value.dataplane.tun ?? 'no device'},{' '}
							{plural(now.value.dataplane.workers, 'worker')}
						</>
					)
				}
			/>
		</>
	);
}

function Now() {
	useSource(sessionsChanged, pulse);
	const state = useStore(sessionsState);

	return (
		<>
			<Tile
				name="Online"
				value={state === 'ready' ? count(sessions.size) : '–'}
				note={state === 'ready' && (sessions.size === 1 ? 'tunnel' : 'tunnels')}
			/>
			<Tile
				name="To devices"
				value={latest ? rate(latest.tx_bps) : '–'}
				note={latest && `${plural(latest.totals.devices, 'device')} active`}
			/>
			<Tile name="From devices" value={latest ? rate(latest.rx_bps) : '–'} note={latest && 'right now'} />
		</>
	);
}

function Bars(p: { of: { key: string; name: preact.ComponentChildren; value: number; text: string; class?: string }[] }) {
	const most = Math.max(...p.of.map((b) => b.value), 1);

	return (
		<ul class="bars">
			{p.of.map((b) => (
				<li key={b.key}>
					<span class="bar-name">{b.name}</span>
					<span class="bar-text">{b.text}</span>
					<span class="bar" aria-hidden="true">
						<span class={b.class} style={{ width: `${(b.value / most) * 100}%` }} />
					</span>
				</li>
			))}
		</ul>
	);
}

function ByProtocol() {
	useSource(sessionsChanged);
	const state = useStore(sessionsState);
	const kinds = [
		{ key: 'wireguard', name: PROTOCOLS.wireguard, value: 0 },
		{ key: 'openvpn udp', name: `${PROTOCOLS.openvpn} UDP`, value: 0 },
		{ key: 'openvpn tcp', name: `${PROTOCOLS.openvpn} TCP`, value: 0 },
	];

	if (state === 'loading')
		return <Loading />;
	if (state !== 'ready')
		return <Failed problem={state} />;
	for (const s of sessions.values()) {
		const key = s.protocol === 'wireguard' ? 'wireguard' : `openvpn ${s.transport}`;
		const kind = kinds.find((k) => k.key === key);

		if (kind)
			kind.value++;
	}
	return <Bars of={kinds.map((k) => ({ ...k, text: count(k.value), class: k.key.split(' ')[0] ?? '' }))} />;
}

const TALKING = 10; // ticks

function TopTalkers() {
	useSource(pulse);
	const ticks = Math.max(1, Math.min(tick, TALKING));
	const found = [...tracks]
		.map(([id, t]) => ({ id, bps: t.both(tick, ticks).reduce((a, b) => a + b, 0) / ticks }))
		.filter((t) => t.bps >= 1)
		.sort((a, b) => b.bps - a.bps)
		.slice(0, 6);

	if (found.length === 0)
		return <p class="quiet-note">Nothing moves right now.</p>;
	return (
		<Bars
			of={found.map((t) => ({ key: t.id, name: <DeviceName id={t.id} />, value: t.bps, text: rate(t.bps) }))}
		/>
	);
}

const DROPS: Record<string, string> = {
	malformed: 'no known protocol',
	unknown_session: 'unknown session',
	expired: 'session too old',
	bad_tag: 'authentication failed',
	replay: 'replayed or too late',
	bad_inner: 'broken inner packet',
	spoofed_source: 'forged inner source',
	no_route: 'no such destination',
	no_session: 'peer not connected',
	no_endpoint: 'peer’s whereabouts unknown',
	too_big: 'too big',
	bad_mac1: 'handshake without right mac',
	not_configured: 'kind not served here',
	cookie_sent: 'under load: cookie sent',
	rate_limited: 'too many handshakes',
	punt_full: 'control plane too busy',
	tun_full: 'TUN device full',
	stream_full: 'TCP queue full',
	send_failed: 'kernel did not send',
};

function Drops() {
	const now = useStore(status);
	const problem = useStore(statusProblem);

	if (!now)
		return problem ? <Failed problem={problem} again={() => void readStatus()} /> : <Loading />;
	const found = Object.entries(now.value.dataplane.drops)
		.filter(([, n]) => n > 0)
		.sort((a, b) => b[1] - a[1]);

	return (
		<>
			{problem && <ProblemNote problem={problem} />}
			{found.length === 0 ? (
				<p class="quiet-note">No packet was dropped since the dataplane’s start.</p>
			) : (
				<Bars
					of={found.slice(0, 8).map(([name, n]) => ({
						key: name,
						name: <span title={name}>{DROPS[name] ?? name.replaceAll('_', ' ')}</span>,
						value: n,
						text: count(n),
						class: 'drop',
					}))}
				/>
			)}
			<p class="quiet-note">As of {clockTime(now.at)}.</p>
		</>
	);
}

function NewsLine(p: { item: News; owners: boolean }) {
	const { item } = p;

	return (
		<li class={`news ${item.kind} ${item.bad ? 'bad' : ''}`}>
			<span class="dot" aria-hidden="true" />
			<span class="news-text">
				{item.deviceId && <DeviceName id={item.deviceId} before={item.deviceName} />}
				{item.userId && p.owners && (
					<span class="soft">
						{' '}
						of <UserName id={item.userId} link />
					</span>
				)}{' '}
				{item.text}
			</span>
			<Ago at={item.at} />
		</li>
	);
}

function Recent(p: { owners: boolean }) {
	useSource(newsChanged);
	if (news.length === 0)
		return <p class="quiet-note">Nothing happened yet since this page was opened.</p>;
	return (
		<ol class="news-list">
			{news.slice(0, 14).map((item) => (
				<NewsLine key={item.key} item={item} owners={p.owners} />
			))}
		</ol>
	);
}

function FirstStep() {
	const [none, setNone] = useState(false);

	useSource(devices);
	useEffect(() => {
		get<Page<Device>>('/v1/devices?limit=1')
			.then((page) => setNone(page.items.length === 0))
			.catch(() => setNone(false)); // the rest of the page says what is wrong
	}, []);
	if (!none || devices.size > 0)
		return null;
	return (
		<div class="note first-step">
			<p>
				<strong>There is no device yet.</strong> Add one, and its profile is ready in less than a
				minute.
			</p>
			<LinkButton href="#/devices/new" kind="primary">
				Add device
			</LinkButton>
		</div>
	);
}

export function Overview() {
	const everything = readsAll(me().role);
	const { query } = useStore(place);
	const range = rangeOf(query.get('range'), 'live');

	useEffect(() => void readStatus(), []);
	return (
		<>
			<header class="page-head">
				<h1 tabIndex={-1}>Overview</h1>
			</header>
			<FirstStep />
			<dl class="tiles">
				{everything && <ServiceTiles />}
				<Now />
			</dl>
			<HistoryPanel class="wide"
				source={EVERYTHING}
				range={range}
				onRange={(r) => refine({ range: r.key === 'live' ? '' : r.key })}
			/>
			<div class="columns">
				<Panel title="Sessions by protocol">
					<ByProtocol />
				</Panel>
				<Panel title="Top talkers">
					<TopTalkers />
				</Panel>
				{everything && (
					<Panel
						title="Dropped packets by reason"
						action={
							<Button kind="quiet" onClick={() => void readStatus()}>
								Refresh
							</Button>
						}
					>
						<Drops />
					</Panel>
				)}
			</div>
			<Panel
				title="Recent events"
				class="wide"
				action={
					everything ? (
						<a class="button quiet" href="#/audit">
							Audit log
						</a>
					) : undefined
				}
			>
				<Recent owners={everything} />
			</Panel>
		</>
	);
}

