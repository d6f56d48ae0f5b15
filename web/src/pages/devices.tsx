// All devices that the viewer may see, thousands of them: found, sorted and drawn in the browser.
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { devices, stateOf, users, type DeviceState } from '../catalog.ts';
import { pulse, sessionOfDevice, sessionsChanged, tick, tracks } from '../live.ts';
import { me, readsAll, writes } from '../login.ts';
import type { Device } from '../model.ts';
import { place, refine } from '../router.ts';
import { useSource, useStore } from '../store.ts';
import { Ago, ProtocolTag, StateBadge, stateWord } from '../ui/bits.tsx';
import { Button, LinkButton } from '../ui/form.tsx';
import { Icon } from '../ui/icons.tsx';
import { Spark } from '../ui/spark.tsx';
import { Empty, Failed, Loading, ProblemNote } from '../ui/states.tsx';
import { LongTable, ordered, type Column, type Sort } from '../ui/table.tsx';
import { bytes, carrier, count, plural, PROTOCOLS, rate } from '../units.ts';

const STATES: DeviceState[] = ['online', 'offline', 'new', 'disabled', 'expired'];
const STATE_ORDER: Record<DeviceState, number> = { online: 0, offline: 1, new: 2, expired: 3, disabled: 4 };

const isOnline = (d: Device) => sessionOfDevice(d.id) !== undefined;
const ownerOf = (d: Device) => users.peek(d.user_id)?.name ?? '';

function rateOf(d: Device): { rx: number; tx: number } {
	const t = tracks.get(d.id);

	return { rx: t?.rxAt(tick) ?? 0, tx: t?.txAt(tick) ?? 0 };
}

const KEYS: Record<string, (d: Device) => string | number> = {
	name: (d) => d.name,
	user: ownerOf,
	state: (d) => STATE_ORDER[stateOf(d, isOnline(d))],
	rate: (d) => {
		const r = rateOf(d);

		return r.rx + r.tx;
	},
	total: (d) => d.status.rx_bytes + d.status.tx_bytes,
	seen: (d) => (isOnline(d) ? Infinity : Date.parse(d.status.last_handshake_at ?? '') || 0),
};
const DOWN_FIRST = ['rate', 'total', 'seen'];

interface Wish {
	text: string;
	state: string;
	protocol: string;
}

function protocolsOf(d: Device): string[] {
	const session = sessionOfDevice(d.id);

	return session
		? [session.protocol]
		: d.credentials.filter((c) => !c.revoked_at).map((c) => c.protocol);
}

function fits(d: Device, w: Wish, words: string[]): boolean {
	if (w.state && stateOf(d, isOnline(d)) !== w.state)
		return false;
	if (w.protocol && !protocolsOf(d).includes(w.protocol))
		return false;
	if (words.length === 0)
		return true;
	const endpoint = sessionOfDevice(d.id)?.endpoint ?? '';
	const hay = `${d.name}\n${ownerOf(d)}\n${d.address4 ?? ''}\n${d.address6 ?? ''}\n${endpoint}`.toLowerCase();

	return words.every((word) => hay.includes(word));
}

function Connection(p: { d: Device }) {
	const s = sessionOfDevice(p.d.id);

	if (!s)
		return (
			<span class="soft">
				{[...new Set(protocolsOf(p.d))].map((x) => PROTOCOLS[x as 'wireguard']).join(', ') || '–'}
			</span>
		);
	return (
		<>
			<ProtocolTag protocol={s.protocol} text={carrier(s)} /> <span class="endpoint">{s.endpoint}</span>
		</>
	);
}

function Rate(p: { d: Device }) {
	const { rx, tx } = rateOf(p.d);

	if (!isOnline(p.d))
		return null;
	return (
		<span class="rates">
			<span title="To the device">
				<Icon name="down" />
				<span class="off-screen">to it </span>
				{rate(tx)}
			</span>
			<span title="From the device">
				<Icon name="up" />
				<span class="off-screen">from it </span>
				{rate(rx)}
			</span>
		</span>
	);
}

function columnsFor(everything: boolean): Column<Device>[] {
	const list: (Column<Device> | false)[] = [
		{
			key: 'name',
			title: 'Name',
			sort: true,
			class: 'c-name',
			cell: (d) => (
				<a class="name" href={`#/devices/${d.id}`}>
					{d.name}
				</a>
			),
		},
		everything && {
			key: 'user',
			title: 'User',
			sort: true,
			class: 'c-user',
			cell: (d) => (
				<a class="quiet-link" href={`#/users/${d.user_id}`}>
					{ownerOf(d) || '…'}
				</a>
			),
		},
		{
			key: 'state',
			title: 'State',
			sort: true,
			class: 'c-state',
			cell: (d) => <StateBadge state={stateOf(d, isOnline(d))} />,
		},
		{ key: 'connection', title: 'Connection', class: 'c-connection', cell: (d) => <Connection d={d} /> },
		{ key: 'address', title: 'Address', class: 'c-address', cell: (d) => d.address4 ?? d.address6 },
		{ key: 'rate', title: 'Now', sort: true, class: 'c-rate', cell: (d) => <Rate d={d} /> },
		{
			key: 'spark',
			title: 'Last minute',
			class: 'c-spark',
			cell: (d) => <Spark values={tracks.get(d.id)?.both(tick) ?? null} />,
		},
		{
			key: 'total',
			title: 'Total',
			sort: true,
			class: 'c-total',
			cell: (d) => bytes(d.status.rx_bytes + d.status.tx_bytes),
		},
		{
			key: 'seen',
			title: 'Last seen',
			sort: true,
			class: 'c-seen',
			cell: (d) => (isOnline(d) ? 'now' : <Ago at={d.status.last_handshake_at} />),
		},
	];

	return list.filter((c) => c !== false);
}

function useSort(): [Sort, (s: Sort) => void] {
	const { query } = useStore(place);
	const text = query.get('sort') ?? 'name';
	const sort = { key: text.replace(/^-/, ''), down: text.startsWith('-') };
	const known = KEYS[sort.key] ? sort : { key: 'name', down: false };

	return [
		known,
		(next) => {
			const down = next.key !== known.key && DOWN_FIRST.includes(next.key) ? true : next.down;
			const value = `${down ? '-' : ''}${next.key}`;

			refine({ sort: value === 'name' ? '' : value });
		},
	];
}

function useWish(): [Wish, (w: Partial<Wish>) => void] {
	const { query } = useStore(place);
	const [text, setText] = useState(query.get('q') ?? '');
	const timer = useRef(0);

	useEffect(() => () => clearTimeout(timer.current), []);
	return [
		{ text, state: query.get('state') ?? '', protocol: query.get('protocol') ?? '' },
		(w) => {
			if (w.state !== undefined || w.protocol !== undefined)
				refine({
					...(w.state !== undefined && { state: w.state }),
					...(w.protocol !== undefined && { protocol: w.protocol }),
				});
			if (w.text === undefined)
				return;
			setText(w.text);
			clearTimeout(timer.current);
			timer.current = window.setTimeout(() => refine({ q: w.text ?? '' }), 250);
		},
	];
}

function Filters(p: { wish: Wish; onWish: (w: Partial<Wish>) => void; everything: boolean }) {
	return (
		<div class="filters" role="search">
			<input
				type="search"
				aria-label="Search devices"
				placeholder={p.everything ? 'Search name, user, address' : 'Search name, address'}
				autocomplete="off"
				spellcheck={false}
				value={p.wish.text}
				onInput={(e) => p.onWish({ text: e.currentTarget.value })}
			/>
			<select
				aria-label="State"
				value={p.wish.state}
				onChange={(e) => p.onWish({ state: e.currentTarget.value })}
			>
				<option value="">Any state</option>
				{STATES.map((s) => (
					<option key={s} value={s}>
						{stateWord(s)}
					</option>
				))}
			</select>
			<select
				aria-label="Protocol"
				value={p.wish.protocol}
				onChange={(e) => p.onWish({ protocol: e.currentTarget.value })}
			>
				<option value="">Any protocol</option>
				<option value="wireguard">WireGuard</option>
				<option value="openvpn">OpenVPN</option>
			</select>
		</div>
	);
}

function headline(shown: number): string {
	const known = `${count(devices.size)}${devices.complete ? '' : ' so far'}`;

	return shown === devices.size
		? `${devices.complete ? plural(devices.size, 'device') : `${known}, loading the rest…`}`
		: `${count(shown)} of ${known}`;
}

// What moves changes every second; an order by it need not.
const RESORT_TICKS = 3;

function useRows(wish: Wish, sort: Sort): Device[] {
	const moving = sort.key === 'rate' || sort.key === 'total';
	const now = moving ? Math.floor(tick / RESORT_TICKS) : 0;
	const known = [devices.version, users.version, sessionsChanged.version];
	// All of them in their order first, so that a letter more in the search only has to look for it.
	const all = useMemo(
		() => ordered(devices.values(), KEYS[sort.key] ?? ((d) => d.name), sort.down),
		[...known, sort.key, sort.down, now],
	);

	return useMemo(() => {
		const words = wish.text.toLowerCase().split(/\s+/).filter(Boolean);

		return all.filter((d) => fits(d, wish, words));
	}, [all, wish.text, wish.state, wish.protocol]);
}

function List() {
	const { role } = me();
	const everything = readsAll(role);
	const [wish, setWish] = useWish();
	const [sort, setSort] = useSort();
	const rows = useRows(wish, sort);
	const columns = useMemo(() => columnsFor(everything), [everything]);

	if (devices.size === 0 && devices.complete)
		return (
			<Empty
				title="No device yet"
				action={
					writes(role) && (
						<LinkButton href="#/devices/new" kind="primary">
							Add device
						</LinkButton>
					)
				}
			>
				A device is a phone, a laptop or a site that connects. Add one, and its profile is ready in less
				than a minute.
			</Empty>
		);
	return (
		<>
			<Filters wish={wish} onWish={setWish} everything={everything} />
			<p class="list-count" role="status">
				{headline(rows.length)}
			</p>
			{rows.length > 0 ? (
				<LongTable
					label="Devices"
					class="devices"
					columns={columns}
					rows={rows}
					keyOf={(d) => d.id}
					sort={sort}
					onSort={setSort}
					stamp={`${devices.version} ${users.version} ${sessionsChanged.version} ${tick}`}
				/>
			) : (
				devices.complete && (
					<Empty
						title="Nothing fits"
						action={
							<Button onClick={() => setWish({ text: '', state: '', protocol: '' })}>
								Show all devices
							</Button>
						}
					>
						No device has all that you are looking for.
					</Empty>
				)
			)}
		</>
	);
}

export function Devices() {
	const { role } = me();

	useSource(devices, users, sessionsChanged, pulse);
	useEffect(() => {
		void devices.readAll();
		if (readsAll(role))
			void users.readAll();
	}, []);
	return (
		<>
			<header class="page-head">
				<h1 tabIndex={-1}>Devices</h1>
				{writes(role) && (
					<LinkButton href="#/devices/new" kind="primary">
						<Icon name="add" /> Add device
					</LinkButton>
				)}
			</header>
			{devices.problem && devices.size > 0 && <ProblemNote problem={devices.problem} />}
			{devices.size > 0 || devices.complete ? (
				<List />
			) : devices.problem ? (
				<Failed problem={devices.problem} again={() => void devices.readAll(true)} />
			) : (
				<Loading what="devices" />
			)}
		</>
	);
}
