// People and what they may do.
import { useEffect, useMemo, useState } from 'preact/hooks';
import { users } from '../catalog.ts';
import { manages, me } from '../login.ts';
import type { User } from '../model.ts';
import { Attempt, post } from '../rest.ts';
import { go, place, refine } from '../router.ts';
import { useSource, useStore } from '../store.ts';
import { AccountBadge, When } from '../ui/bits.tsx';
import { FormDialog } from '../ui/dialog.tsx';
import { Button, useSending } from '../ui/form.tsx';
import { Icon } from '../ui/icons.tsx';
import { Empty, Failed, Loading } from '../ui/states.tsx';
import { LongTable, ordered, type Column } from '../ui/table.tsx';
import { say } from '../ui/toast.tsx';
import { roleOptions, USER_FIELDS, UserFields, type UserTexts } from '../ui/userfields.tsx';
import { plural } from '../units.ts';

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
		cell: (u) => <AccountBadge user={u} />,
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
	const [texts, setTexts] = useState<UserTexts>({ name: '', display: '', email: '', role: 'user', password: '' });
	const attempt = useMemo(() => new Attempt(), []);
	const sending = useSending();

	const send = async () => {
		const { role: of, password } = texts;
		const [name, display, email] = [texts.name.trim(), texts.display.trim(), texts.email.trim()];
		const body = {
			name,
			role: of,
			...(display && { display_name: display }),
			...(email && { email }),
			...(password && { password }),
		};
		const user = await post<User>('/v1/users', body, attempt.keyFor(body));

		users.put(user);
		say(`${user.name} was added`);
		p.onClose();
		go(`users/${user.id}`);
	};

	return (
		<FormDialog
			title="Add user"
			verb="Add user"
			sending={sending}
			onClose={p.onClose}
			onSend={send}
			known={USER_FIELDS}
			fields={
				<UserFields
					value={texts}
					onChange={(part) => setTexts((before) => ({ ...before, ...part }))}
					sending={sending}
					roles={roleOptions(role)}
					nameHint="Letters, digits and . _ @ -"
					password="Password (optional)"
					passwordHint="At least 8 characters. Without one the user can’t sign in here, but can have devices."
				/>
			}
		/>
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
