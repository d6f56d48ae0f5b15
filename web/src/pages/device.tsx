// One device: what it moves, what it is connected by, what it may connect with.
import { useEffect, useMemo, useState } from 'preact/hooks';
import { devices, stateOf, users } from '../catalog.ts';
import { rangeOf } from '../history.ts';
import { epoch, pulse, sessionOfDevice, sessionsChanged } from '../live.ts';
import { me, readsAll, writes } from '../login.ts';
import type { Credential, Device as DeviceModel, Invite, Session } from '../model.ts';
import { useReading } from '../reading.ts';
import { Attempt, del, patch } from '../rest.ts';
import { go, place, refine } from '../router.ts';
import { useSource, useStore } from '../store.ts';
import { Ago, Badge, Facts, Panel, ProtocolTag, StateBadge, UserName, When } from '../ui/bits.tsx';
import { HistoryPanel } from '../ui/chart.tsx';
import { ConfirmByName, Dialog, FormDialog } from '../ui/dialog.tsx';
import { Button, Input, useSending } from '../ui/form.tsx';
import { give, GivenOnce, WishFields, type Given, type Wish } from '../ui/give.tsx';
import { Empty, Failed, Loading, ProblemNote } from '../ui/states.tsx';
import { Table } from '../ui/table.tsx';
import { say } from '../ui/toast.tsx';
import { bytes, carrier, count, fromLocal, PROTOCOLS, shortTime, toLocal } from '../units.ts';

async function change(d: DeviceModel, body: object, done: string): Promise<void> {
	if (Object.keys(body).length > 0)
		devices.put(await patch<DeviceModel>(`/v1/devices/${d.id}`, body));
	say(done);
}

function EditDialog(p: { device: DeviceModel; onClose: () => void }) {
	const { device: d } = p;
	const [name, setName] = useState(d.name);
	const [expires, setExpires] = useState(toLocal(d.expires_at));
	const sending = useSending();

	const send = async () => {
		const body: Record<string, unknown> = {};

		if (name.trim() !== d.name)
			body.name = name.trim();
		if (expires !== toLocal(d.expires_at))
			body.expires_at = fromLocal(expires);
		await change(d, body, 'Saved');
		p.onClose();
	};

	return (
		<FormDialog
			title="Edit device"
			verb="Save"
			sending={sending}
			onClose={p.onClose}
			onSend={send}
			known={['name', 'expires_at']}
			fields={
				<>
					<Input
						label="Device name"
						value={name}
						onValue={setName}
						maxLength={64}
						required
						autofocus
						error={sending.problem?.of('name')}
					/>
					<Input
						label="May connect until (optional)"
						type="datetime-local"
						value={expires}
						onValue={setExpires}
						hint="Empty: for ever. In your time zone."
						error={sending.problem?.of('expires_at')}
					/>
				</>
			}
		/>
	);
}

function GiveDialog(p: { device: DeviceModel; way: Wish['way']; onClose: () => void; onGiven: () => void }) {
	const [wish, setWish] = useState<Wish>({ protocol: 'wireguard', way: p.way, expires: '' });
	const [given, setGiven] = useState<Given | null>(null);
	const attempt = useMemo(() => new Attempt(), []);
	const sending = useSending();

	if (given)
		return (
			<Dialog title={`Profile of ${p.device.name}`} onClose={p.onClose} wide>
				<GivenOnce given={given} />
				<div class="form-buttons">
					<Button onClick={p.onClose}>Done</Button>
				</div>
			</Dialog>
		);
	return (
		<FormDialog
			title={`A credential for ${p.device.name}`}
			verb={wish.way === 'profile' ? 'Issue credential' : 'Make link'}
			wide
			sending={sending}
			onClose={p.onClose}
			known={['expires_at']}
			onSend={async () => {
				setGiven(await give(p.device.id, wish, fromLocal(wish.expires), attempt));
				p.onGiven();
			}}
			fields={
				<WishFields
					value={wish}
					onValue={setWish}
					ends="Credential ends (optional)"
					error={sending.problem?.of('expires_at')}
				/>
			}
		/>
	);
}

// ---- the tunnel ----

function sessionFacts(s: Session): [string, preact.ComponentChildren][] {
	return [
		['Protocol', <ProtocolTag protocol={s.protocol} text={carrier(s)} />],
		['From', s.endpoint ?? 'unknown'],
		['Cipher', s.tls_version ? `${s.cipher}, ${s.tls_version}` : s.cipher],
		['Connected', <Ago at={s.started_at} />],
		['Last handshake', <Ago at={s.last_handshake_at} />],
		['To it', `${bytes(s.tx_bytes)} in ${count(s.tx_packets)} packets`],
		['From it', `${bytes(s.rx_bytes)} in ${count(s.rx_packets)} packets`],
	];
}

function Tunnel(p: { device: DeviceModel; mayChange: boolean }) {
	useSource(pulse, sessionsChanged);
	const s = sessionOfDevice(p.device.id);
	const sending = useSending();

	const disconnect = () =>
		sending.run(async () => {
			if (!s)
				return;
			await del(`/v1/sessions/${s.id}`);
			say('Disconnected. The device may connect anew.');
		});

	return (
		<Panel
			title="Session"
			action={
				s &&
				p.mayChange && (
					<Button kind="quiet" busy={sending.busy} onClick={() => void disconnect()}>
						Disconnect
					</Button>
				)
			}
		>
			{sending.problem && <ProblemNote problem={sending.problem} />}
			{s ? (
				<Facts of={sessionFacts(s)} />
			) : (
				<p class="quiet-note">
					Not connected. Last handshake: <Ago at={p.device.status.last_handshake_at} />.
				</p>
			)}
		</Panel>
	);
}

function About(p: { device: DeviceModel }) {
	const { device: d } = p;

	return (
		<Panel title="Device">
			<Facts
				of={[
					['User', <UserName id={d.user_id} link />],
					['IPv4', d.address4 ?? 'none'],
					['IPv6', d.address6 ?? 'none'],
					['May connect until', <When at={d.expires_at} none="for ever" />],
					['Total to it', bytes(d.status.tx_bytes)],
					['Total from it', bytes(d.status.rx_bytes)],
					['Added', <When at={d.created_at} />],
					['Id', <code class="id">{d.id}</code>],
				]}
			/>
			{readsAll(me().role) && (
				<p class="quiet-note">
					<a href={`#/audit?object=${d.id}`}>What was done to it</a>
				</p>
			)}
		</Panel>
	);
}

// ---- credentials and invites ----

function ending(at: string | null): preact.ComponentChildren {
	return <When at={at} none="never" />;
}

function standing(c: Credential): preact.ComponentChildren {
	if (c.revoked_at)
		return (
			<Badge state="disabled">
				Revoked <Ago at={c.revoked_at} />
			</Badge>
		);
	if (c.expires_at && Date.parse(c.expires_at) <= Date.now())
		return <Badge state="expired">Expired</Badge>;
	return <Badge state="online">Valid</Badge>;
}

function Credentials(p: { device: DeviceModel; mayChange: boolean; onIssue: () => void }) {
	const { device: d } = p;
	const [revoking, setRevoking] = useState<Credential | null>(null);
	const newest = [...d.credentials].sort((a, b) => (a.created_at < b.created_at ? 1 : -1));

	return (
		<Panel
			title="Credentials"
			class="wide"
			action={
				p.mayChange && (
					<Button onClick={p.onIssue}>Issue credential</Button>
				)
			}
		>
			{newest.length === 0 ? (
				<Empty title="No credential yet">
					{p.mayChange
						? 'Without one the device can’t connect. Issue one to get its profile.'
						: 'Without one the device can’t connect.'}
				</Empty>
			) : (
				<Table
					label="Credentials"
					rows={newest}
					keyOf={(c) => c.id}
					columns={[
						{
							key: 'protocol',
							title: 'Protocol',
							cell: (c) => <ProtocolTag protocol={c.protocol} text={PROTOCOLS[c.protocol]} />,
						},
						{ key: 'standing', title: 'State', cell: standing },
						{ key: 'issued', title: 'Issued', cell: (c) => <When at={c.created_at} /> },
						{ key: 'ends', title: 'Ends', cell: (c) => ending(c.expires_at) },
						{
							key: 'key',
							title: 'Fingerprint',
							cell: (c) => (
								<code class="id" title={c.fingerprint}>
									{c.fingerprint.slice(0, 16)}…
								</code>
							),
						},
						{
							key: 'do',
							title: 'Actions',
							class: 'c-do',
							cell: (c) =>
								p.mayChange &&
								!c.revoked_at && (
									<Button
										kind="quiet"
										label={`Revoke ${PROTOCOLS[c.protocol]} credential of ${shortTime(c.created_at)}`}
										onClick={() => setRevoking(c)}
									>
										Revoke
									</Button>
								),
						},
					]}
				/>
			)}
			{revoking && (
				<ConfirmByName
					title="Revoke credential"
					name={d.name}
					verb="Revoke"
					onClose={() => setRevoking(null)}
					onConfirm={async () => {
						await del(`/v1/credentials/${revoking.id}`);
						await devices.refresh(d.id);
						say('Revoked');
					}}
				>
					<p>
						The {PROTOCOLS[revoking.protocol]} credential of <strong>{d.name}</strong> stops working for
						good. A tunnel that uses it is dead at once.
					</p>
				</ConfirmByName>
			)}
		</Panel>
	);
}

function inviteState(i: Invite): string {
	if (i.used_at)
		return `Used ${shortTime(i.used_at)}`;
	return Date.parse(i.expires_at) <= Date.now() ? 'Expired' : 'Open';
}

function useInvites(deviceId: string) {
	const [list, setList] = useState<Invite[] | null>(null);
	const missed = useStore(epoch);
	// Opening one issues a credential, and that changes the device.
	const credentials = devices.peek(deviceId)?.credentials.length;
	const { problem, again } = useReading<Invite>(
		`/v1/devices/${deviceId}/invites`,
		(items) => setList(items.reverse()),
		[missed, credentials],
	);

	return { list, problem, reload: again };
}

function Invites(p: {
	device: DeviceModel;
	mayChange: boolean;
	onInvite: () => void;
	invites: ReturnType<typeof useInvites>;
}) {
	const { list, problem, reload } = p.invites;
	const sending = useSending();
	const withdraw = (i: Invite) =>
		sending.run(async () => {
			await del(`/v1/invites/${i.id}`);
			say('Withdrawn');
			reload();
		});

	return (
		<Panel
			title="Invite links"
			class="wide"
			action={p.mayChange && <Button onClick={p.onInvite}>Make invite link</Button>}
		>
			{problem && <Failed problem={problem} again={reload} />}
			{sending.problem && <ProblemNote problem={sending.problem} />}
			{!list && !problem && <Loading />}
			{list && list.length === 0 && (
				<p class="quiet-note">No links. One gives the profile to whoever opens it first.</p>
			)}
			{list && list.length > 0 && (
				<Table
					label="Invite links"
					rows={list}
					keyOf={(i) => i.id}
					columns={[
						{
							key: 'protocol',
							title: 'Protocol',
							cell: (i) => <ProtocolTag protocol={i.protocol} text={PROTOCOLS[i.protocol]} />,
						},
						{ key: 'state', title: 'State', cell: inviteState },
						{ key: 'made', title: 'Made', cell: (i) => <When at={i.created_at} /> },
						{ key: 'ends', title: 'Ends', cell: (i) => <When at={i.expires_at} /> },
						{
							key: 'do',
							title: 'Actions',
							class: 'c-do',
							cell: (i) =>
								p.mayChange &&
								inviteState(i) === 'Open' && (
									<Button kind="quiet" onClick={() => void withdraw(i)}>
										Withdraw
									</Button>
								),
						},
					]}
				/>
			)}
		</Panel>
	);
}

// ---- the page ----

function Actions(p: { device: DeviceModel; onEdit: () => void; onDelete: () => void }) {
	const { device: d } = p;
	const sending = useSending();
	const [disabling, setDisabling] = useState(false);

	return (
		<>
			<div class="row">
				<Button onClick={p.onEdit}>Edit</Button>
				{d.enabled ? (
					<Button onClick={() => setDisabling(true)}>Disable</Button>
				) : (
					<Button
						busy={sending.busy}
						onClick={() => void sending.run(() => change(d, { enabled: true }, 'Enabled'))}
					>
						Enable
					</Button>
				)}
				<Button kind="danger" onClick={p.onDelete}>
					Delete
				</Button>
			</div>
			{sending.problem && <ProblemNote problem={sending.problem} />}
			{disabling && (
				<ConfirmByName
					title="Disable device"
					name={d.name}
					verb="Disable"
					onClose={() => setDisabling(false)}
					onConfirm={() => change(d, { enabled: false }, 'Disabled')}
				>
					<p>
						<strong>{d.name}</strong> is disconnected at once and can’t connect until it is enabled
						again. Its credentials stay.
					</p>
				</ConfirmByName>
			)}
		</>
	);
}

type Open = 'edit' | 'delete' | 'profile' | 'invite' | null;

function Whole(p: { device: DeviceModel }) {
	const { device: d } = p;
	const { role } = me();
	const mayChange = writes(role);
	const range = rangeOf(useStore(place).query.get('range'), 'hour');
	const [open, setOpen] = useState<Open>(null);
	const invites = useInvites(d.id);
	const source = useMemo(
		() => ({
			query: `device_id=${d.id}`,
			moved: (e: { devices: [string, number, number][] }): [number, number] => {
				const mine = e.devices.find(([id]) => id === d.id);

				return mine ? [mine[1], mine[2]] : [0, 0];
			},
		}),
		[d.id],
	);

	useSource(sessionsChanged);
	const close = () => setOpen(null);

	return (
		<>
			<header class="page-head">
				<div class="title">
					<p class="crumb">
						<a href="#/devices">Devices</a>
					</p>
					<h1 tabIndex={-1}>{d.name}</h1>
					<StateBadge state={stateOf(d, sessionOfDevice(d.id) !== undefined)} />
				</div>
				{mayChange && (
					<Actions device={d} onEdit={() => setOpen('edit')} onDelete={() => setOpen('delete')} />
				)}
			</header>
			<HistoryPanel class="wide"
				source={source}
				range={range}
				onRange={(r) => refine({ range: r.key === 'hour' ? '' : r.key })}
			/>
			<div class="columns two">
				<Tunnel device={d} mayChange={mayChange} />
				<About device={d} />
			</div>
			<Credentials device={d} mayChange={mayChange} onIssue={() => setOpen('profile')} />
			<Invites device={d} mayChange={mayChange} onInvite={() => setOpen('invite')} invites={invites} />
			{open === 'edit' && <EditDialog device={d} onClose={close} />}
			{(open === 'profile' || open === 'invite') && (
				<GiveDialog
					device={d}
					way={open}
					onClose={close}
					onGiven={() => {
						invites.reload();
						void devices.refresh(d.id);
					}}
				/>
			)}
			{open === 'delete' && (
				<ConfirmByName
					title="Delete device"
					name={d.name}
					verb="Delete"
					onClose={close}
					onConfirm={async () => {
						await del(`/v1/devices/${d.id}`);
						devices.drop(d.id);
						say(`${d.name} was deleted`);
						go('devices');
					}}
				>
					<p>
						<strong>{d.name}</strong>, its credentials and its history go for good. Its tunnel is dead at
						once.
					</p>
				</ConfirmByName>
			)}
		</>
	);
}

export function Device(p: { id: string }) {
	useSource(devices, users);
	const device = devices.peek(p.id);
	const problem = devices.problemOf(p.id);

	useEffect(() => void devices.refresh(p.id), [p.id]);
	if (device)
		return <Whole key={p.id} device={device} />;
	if (problem)
		return (
			<Failed
				page
				problem={problem}
				again={() => void devices.refresh(p.id)}
				back={
					<a class="button plain" href="#/devices">
						All devices
					</a>
				}
			/>
		);
	return <Loading what="the device" />;
}

