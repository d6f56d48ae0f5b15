// One user: who it is, the devices, what can be done about either.
import { useEffect, useMemo, useState } from 'preact/hooks';
import { devices, stateOf, users } from '../catalog.ts';
import { rangeOf } from '../history.ts';
import { pulse, sessionOfDevice, sessionsChanged } from '../live.ts';
import { manages, me, readsAll } from '../login.ts';
import type { Device, TrafficEvent, User as UserModel } from '../model.ts';
import { useReading } from '../reading.ts';
import { del, patch } from '../rest.ts';
import { go, place, refine } from '../router.ts';
import { useSource, useStore } from '../store.ts';
import { AccountBadge, Ago, Facts, Panel, StateBadge, When } from '../ui/bits.tsx';
import { HistoryPanel } from '../ui/chart.tsx';
import { ConfirmByName, FormDialog } from '../ui/dialog.tsx';
import { Button, LinkButton, useSending } from '../ui/form.tsx';
import { Empty, Failed, Loading, ProblemNote } from '../ui/states.tsx';
import { Table } from '../ui/table.tsx';
import { say } from '../ui/toast.tsx';
import { roleOptions, USER_FIELDS, UserFields, type UserTexts } from '../ui/userfields.tsx';
import { bytes } from '../units.ts';

type Change = Partial<Pick<UserModel, 'name' | 'display_name' | 'email' | 'role' | 'disabled'>> & {
	password?: string | null;
};

async function change(u: UserModel, body: Change, done: string): Promise<void> {
	if (Object.keys(body).length > 0)
		users.put(await patch<UserModel>(`/v1/users/${u.id}`, body));
	say(done);
}

function EditDialog(p: { user: UserModel; onClose: () => void }) {
	const { user: u } = p;
	const [texts, setTexts] = useState<UserTexts>({
		name: u.name,
		display: u.display_name ?? '',
		email: u.email ?? '',
		role: u.role,
		password: '',
	});
	const sending = useSending();
	const roles = roleOptions(me().role);

	const send = async () => {
		const body: Change = {};

		if (texts.name.trim() !== u.name)
			body.name = texts.name.trim();
		if (texts.display.trim() !== (u.display_name ?? ''))
			body.display_name = texts.display.trim() || null;
		if (texts.email.trim() !== (u.email ?? ''))
			body.email = texts.email.trim() || null;
		if (texts.role !== u.role)
			body.role = texts.role as UserModel['role'];
		if (texts.password)
			body.password = texts.password;
		await change(u, body, 'Saved');
		p.onClose();
	};

	return (
		<FormDialog
			title="Edit user"
			verb="Save"
			sending={sending}
			onClose={p.onClose}
			onSend={send}
			known={USER_FIELDS}
			fields={
				<UserFields
					value={texts}
					onChange={(part) => setTexts((before) => ({ ...before, ...part }))}
					sending={sending}
					roles={roles.some(([r]) => r === u.role) ? roles : []}
					password="New password (optional)"
					passwordHint="Left empty: it stays. A new one ends the user’s other sign-ins."
				/>
			}
		/>
	);
}

type Open = 'edit' | 'disable' | 'delete' | 'totp' | null;

function Confirmations(p: { user: UserModel; open: Open; onClose: () => void }) {
	const { user: u } = p;

	if (p.open === 'disable')
		return (
			<ConfirmByName
				title="Disable user"
				name={u.name}
				verb="Disable"
				onClose={p.onClose}
				onConfirm={() => change(u, { disabled: true }, 'Disabled')}
			>
				<p>
					<strong>{u.name}</strong> can’t sign in any more, and all tunnels of the user’s devices are dead
					at once, until the user is enabled again.
				</p>
			</ConfirmByName>
		);
	if (p.open === 'delete')
		return (
			<ConfirmByName
				title="Delete user"
				name={u.name}
				verb="Delete"
				onClose={p.onClose}
				onConfirm={async () => {
					await del(`/v1/users/${u.id}`);
					users.drop(u.id);
					say(`${u.name} was deleted`);
					go('users');
				}}
			>
				<p>
					<strong>{u.name}</strong> goes for good, with all devices, credentials, tokens and sign-ins.
				</p>
			</ConfirmByName>
		);
	if (p.open === 'totp')
		return (
			<ConfirmByName
				title="Reset second factor"
				name={u.name}
				verb="Reset"
				onClose={p.onClose}
				onConfirm={async () => {
					await del(`/v1/users/${u.id}/totp`);
					await users.refresh(u.id);
					say('The second factor is off');
				}}
			>
				<p>
					<strong>{u.name}</strong> can sign in with the password alone, until a new authenticator is set
					up. Be sure who is asking.
				</p>
			</ConfirmByName>
		);
	return null;
}

/** The user's devices, kept right by the catalog once they are known. */
function useDevicesOf(id: string) {
	const [ready, setReady] = useState(false);

	useSource(devices);
	const reading = useReading<Device>(`/v1/devices?user_id=${id}`, (list) => {
		for (const d of list)
			devices.put(d);
		setReady(true);
	});

	return { list: ready ? devices.values().filter((d) => d.user_id === id) : null, ...reading };
}

function DevicesOf(p: { user: UserModel; mayAdd: boolean }) {
	const { list, problem, again } = useDevicesOf(p.user.id);

	useSource(sessionsChanged, pulse);
	return (
		<Panel
			title="Devices"
			class="wide"
			action={p.mayAdd && <LinkButton href={`#/devices/new?user=${p.user.id}`}>Add device</LinkButton>}
		>
			{problem && <Failed problem={problem} again={again} />}
			{!list && !problem && <Loading />}
			{list && list.length === 0 && (
				<Empty title="No device yet">
					{p.mayAdd ? 'Add one to give this user a tunnel.' : 'This user has nothing that connects.'}
				</Empty>
			)}
			{list && list.length > 0 && (
				<Table
					label="Devices"
					rows={list}
					keyOf={(d) => d.id}
					columns={[
						{
							key: 'name',
							title: 'Name',
							cell: (d) => (
								<a class="name" href={`#/devices/${d.id}`}>
									{d.name}
								</a>
							),
						},
						{
							key: 'state',
							title: 'State',
							cell: (d) => <StateBadge state={stateOf(d, sessionOfDevice(d.id) !== undefined)} />,
						},
						{ key: 'address', title: 'Address', cell: (d) => d.address4 ?? d.address6 },
						{ key: 'total', title: 'Total', cell: (d) => bytes(d.status.rx_bytes + d.status.tx_bytes) },
						{
							key: 'seen',
							title: 'Last handshake',
							cell: (d) => <Ago at={d.status.last_handshake_at} />,
						},
					]}
				/>
			)}
		</Panel>
	);
}

function Buttons(p: { user: UserModel; onOpen: (o: Open) => void }) {
	const { user: u } = p;
	const sending = useSending();

	return (
		<>
			<div class="row">
				<Button onClick={() => p.onOpen('edit')}>Edit</Button>
				{u.totp && <Button onClick={() => p.onOpen('totp')}>Reset second factor</Button>}
				{u.disabled ? (
					<Button
						busy={sending.busy}
						onClick={() => void sending.run(() => change(u, { disabled: false }, 'Enabled'))}
					>
						Enable
					</Button>
				) : (
					<Button onClick={() => p.onOpen('disable')}>Disable</Button>
				)}
				<Button kind="danger" onClick={() => p.onOpen('delete')}>
					Delete
				</Button>
			</div>
			{sending.problem && <ProblemNote problem={sending.problem} />}
		</>
	);
}

function Whole(p: { user: UserModel }) {
	const { user: u } = p;
	const { role } = me();
	const [open, setOpen] = useState<Open>(null);
	const range = rangeOf(useStore(place).query.get('range'), 'hour');
	const source = useMemo(
		() => ({
			query: `user_id=${u.id}`,
			moved: (e: TrafficEvent): [number, number] => {
				const sum: [number, number] = [0, 0];

				for (const [id, rx, tx] of e.devices) {
					if (devices.peek(id)?.user_id !== u.id)
						continue;
					sum[0] += rx;
					sum[1] += tx;
				}
				return sum;
			},
		}),
		[u.id],
	);

	return (
		<>
			<header class="page-head">
				<div class="title">
					<p class="crumb">{readsAll(role) ? <a href="#/users">Users</a> : 'User'}</p>
					<h1 tabIndex={-1}>{u.name}</h1>
					<AccountBadge user={u} />
				</div>
				{manages(role) && <Buttons user={u} onOpen={setOpen} />}
			</header>
			<div class="columns two">
				<Panel title="User">
					<Facts
						of={[
							['Display name', u.display_name ?? <span class="soft">none</span>],
							['Email', u.email ?? <span class="soft">none</span>],
							['Role', u.role],
							['Second factor', u.totp ? 'On' : 'Off'],
							['Added', <When at={u.created_at} />],
							['Changed', <When at={u.updated_at} />],
							['Id', <code class="id">{u.id}</code>],
						]}
					/>
					{readsAll(role) && (
						<p class="quiet-note">
							<a href={`#/audit?actor=${u.id}`}>What the user did</a>, and{' '}
							<a href={`#/audit?object=${u.id}`}>what was done to the user</a>
						</p>
					)}
				</Panel>
				<HistoryPanel
					source={source}
					range={range}
					onRange={(r) => refine({ range: r.key === 'hour' ? '' : r.key })}
				/>
			</div>
			<DevicesOf user={u} mayAdd={manages(role)} />
			{open === 'edit' && <EditDialog user={u} onClose={() => setOpen(null)} />}
			<Confirmations user={u} open={open} onClose={() => setOpen(null)} />
		</>
	);
}

export function User(p: { id: string }) {
	useSource(users);
	const user = users.peek(p.id);
	const problem = users.problemOf(p.id);

	useEffect(() => void users.refresh(p.id), [p.id]);
	if (user)
		return <Whole key={p.id} user={user} />;
	if (problem)
		return <Failed page problem={problem} again={() => void users.refresh(p.id)} />;
	return <Loading what="the user" />;
}
