// People and what they may do.
import { useEffect, useMemo, useState } from 'preact/hooks';
import { users } from '../catalog.ts';
import { manages, me, rolesUpTo } from '../login.ts';
import type { Role, User } from '../model.ts';
import { Attempt, post } from '../rest.ts';
import { go, place, refine } from '../router.ts';
import { useSource, useStore } from '../store.ts';
import { When } from '../ui/bits.tsx';
import { Dialog } from '../ui/dialog.tsx';
import { Button, Form, Input, Select, useSending } from '../ui/form.tsx';
import { Icon } from '../ui/icons.tsx';
import { Empty, Failed, Loading } from '../ui/states.tsx';
import { LongTable, ordered, type Column } from '../ui/table.tsx';
import { say } from '../ui/toast.tsx';
import { plural } from '../units.ts';

const ABOUT: Record<Role, string> = {
	user: 'User: own devices only',
	auditor: 'Auditor: sees all, changes nothing',
	operator: 'Operator: users and devices',
	admin: 'Admin: everything',
};

export const roleOptions = (role: Role): [string, string][] => rolesUpTo(role).map((r) => [r, ABOUT[r]]);

const COLUMNS: Column<User>[] = [
	{
		key: 'name',
		title: 'Name',
		sort: true,
		class: 'c-name',
		cell: (u) => (
			<a class="name" href={`#/users/${u.id}`}>
				{u.name}
			</a>
		),
	},
	{ key: 'display', title: 'Display name', sort: true, class: 'c-user', cell: (u) => u.display_name ?? '' },
	{ key: 'role', title: 'Role', sort: true, class: 'c-role', cell: (u) => <span class="tag">{u.role}</span> },
	{
		key: 'state',
		title: 'State',
		sort: true,
		class: 'c-state',
		cell: (u) => (
			<span class={`badge state-${u.disabled ? 'disabled' : 'online'}`}>
				<span class="dot" aria-hidden="true" />
				{u.disabled ? 'Disabled' : 'Active'}
			</span>
		),
	},
	{
		key: 'totp',
		title: 'Second factor',
		sort: true,
		class: 'c-totp',
		cell: (u) => (u.totp ? 'On' : <span class="soft">Off</span>),
	},
	{ key: 'email', title: 'Email', sort: true, class: 'c-email', cell: (u) => u.email ?? '' },
	{ key: 'created', title: 'Added', sort: true, class: 'c-seen', cell: (u) => <When at={u.created_at} /> },
];

const KEYS: Record<string, (u: User) => string | number> = {
	name: (u) => u.name,
	display: (u) => u.display_name ?? '',
	role: (u) => u.role,
	state: (u) => Number(u.disabled),
	totp: (u) => Number(!u.totp),
	email: (u) => u.email ?? '',
	created: (u) => u.created_at,
};

function AddDialog(p: { onClose: () => void }) {
	const { role } = me();
	const [name, setName] = useState('');
	const [display, setDisplay] = useState('');
	const [email, setEmail] = useState('');
	const [password, setPassword] = useState('');
	const [of, setOf] = useState<string>('user');
	const attempt = useMemo(() => new Attempt(), []);
	const sending = useSending();

	const send = async () => {
		const body = {
			name: name.trim(),
			role: of,
			...(display.trim() && { display_name: display.trim() }),
			...(email.trim() && { email: email.trim() }),
			...(password && { password }),
		};
		const user = await post<User>('/v1/users', body, attempt.keyFor(body));

		users.put(user);
		say(`${user.name} was added`);
		p.onClose();
		go(`users/${user.id}`);
	};

	return (
		<Dialog title="Add user" onClose={p.onClose}>
			<Form
				sending={sending}
				onSend={send}
				known={['name', 'display_name', 'email', 'role', 'password']}
				fields={
					<>
						<Input
							label="User name"
							value={name}
							onValue={setName}
							maxLength={64}
							required
							autofocus
							autocapitalize="off"
							hint="Letters, digits and . _ @ -"
							error={sending.problem?.of('name')}
						/>
						<Input
							label="Display name (optional)"
							value={display}
							onValue={setDisplay}
							maxLength={128}
							error={sending.problem?.of('display_name')}
						/>
						<Input
							label="Email (optional)"
							type="email"
							value={email}
							onValue={setEmail}
							error={sending.problem?.of('email')}
						/>
						<Select
							label="Role"
							value={of}
							onValue={setOf}
							options={roleOptions(role)}
							error={sending.problem?.of('role')}
						/>
						<Input
							label="Password (optional)"
							type="password"
							value={password}
							onValue={setPassword}
							autocomplete="new-password"
							maxLength={256}
							hint="At least 8 characters. Without one the user can’t sign in here, but can have devices."
							error={sending.problem?.of('password')}
						/>
					</>
				}
			>
				<Button onClick={p.onClose}>Cancel</Button>
				<Button type="submit" kind="primary" busy={sending.busy}>
					Add user
				</Button>
			</Form>
		</Dialog>
	);
}

function List() {
	const { query } = useStore(place);
	const [text, setText] = useState(query.get('q') ?? '');
	const [sort, setSort] = useState({ key: 'name', down: false });
	const words = text.toLowerCase().split(/\s+/).filter(Boolean);
	const hay = (u: User) => `${u.name}\n${u.display_name ?? ''}\n${u.email ?? ''}\n${u.role}`.toLowerCase();
	const rows = ordered(
		users.values().filter((u) => words.every((w) => hay(u).includes(w))),
		KEYS[sort.key] ?? ((u) => u.name),
		sort.down,
	);

	return (
		<>
			<div class="filters" role="search">
				<input
					type="search"
					aria-label="Search users"
					placeholder="Search name, email, role"
					autocomplete="off"
					spellcheck={false}
					value={text}
					onInput={(e) => setText(e.currentTarget.value)}
					onChange={() => refine({ q: text })}
				/>
			</div>
			<p class="list-count" role="status">
				{plural(rows.length, 'user')}
				{users.complete ? '' : ', loading the rest…'}
			</p>
			{rows.length > 0 ? (
				<LongTable
					label="Users"
					class="users"
					columns={COLUMNS}
					rows={rows}
					keyOf={(u) => u.id}
					sort={sort}
					onSort={setSort}
				/>
			) : (
				<Empty title="Nobody fits" action={<Button onClick={() => setText('')}>Show all users</Button>} />
			)}
		</>
	);
}

export function Users() {
	const { role } = me();
	const [adding, setAdding] = useState(false);

	useSource(users);
	useEffect(() => void users.readAll(true), []);
	return (
		<>
			<header class="page-head">
				<h1 tabIndex={-1}>Users</h1>
				{manages(role) && (
					<Button kind="primary" onClick={() => setAdding(true)}>
						<Icon name="add" /> Add user
					</Button>
				)}
			</header>
			{users.size > 0 ? (
				<List />
			) : users.problem ? (
				<Failed problem={users.problem} again={() => void users.readAll(true)} />
			) : (
				<Loading what="users" />
			)}
			{adding && <AddDialog onClose={() => setAdding(false)} />}
		</>
	);
}
