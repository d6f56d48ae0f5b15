// Who did what to what: newest first, page by page, and a look at whether all of it is untouched.
import { useEffect, useState } from 'preact/hooks';
import { devices, users } from '../catalog.ts';
import type { AuditEntry, AuditState, Page } from '../model.ts';
import { asProblem, get, type Problem } from '../rest.ts';
import { place, refine } from '../router.ts';
import { useStore } from '../store.ts';
import { Panel, When } from '../ui/bits.tsx';
import { Button, useSending } from '../ui/form.tsx';
import { Empty, Failed, Loading, ProblemNote } from '../ui/states.tsx';
import { Table, type Column } from '../ui/table.tsx';
import { count, plural } from '../units.ts';

const ACTIONS = [
	'login',
	'logout',
	'user.create',
	'user.patch',
	'user.delete',
	'device.create',
	'device.patch',
	'device.delete',
	'credential.issue',
	'credential.revoke',
	'invite.create',
	'invite.delete',
	'invite.open',
	'session.kill',
	'token.create',
	'token.delete',
	'settings.patch',
	'totp.begin',
	'totp.confirm',
	'totp.disable',
	'totp.reset',
	'backup.make',
	'backup.restore',
];

const HOMES: Record<string, { page: string; nameOf: (id: string) => string | undefined }> = {
	usr: { page: 'users', nameOf: (id) => users.peek(id)?.name },
	dev: { page: 'devices', nameOf: (id) => devices.peek(id)?.name },
};

/** By its name where that is known anyway. */
function ObjectLink(p: { id: string }) {
	const home = HOMES[p.id.slice(0, 3)];
	const name = home?.nameOf(p.id);

	if (!home)
		return <code class="id">{p.id}</code>;
	return (
		<a class={name === undefined ? 'id' : 'name'} href={`#/${home.page}/${p.id}`} title={p.id}>
			{name ?? p.id}
		</a>
	);
}

const COLUMNS: Column<AuditEntry>[] = [
	{ key: 'at', title: 'When', class: 'c-when', cell: (e) => <When at={e.at} /> },
	{
		key: 'actor',
		title: 'Who',
		class: 'c-who',
		cell: (e) =>
			e.actor ? (
				<>
					<a class="name" href={`#/users/${e.actor.user_id}`}>
						{e.actor.name}
					</a>{' '}
					{e.actor.via === 'token' && <span class="soft">by token</span>}
				</>
			) : (
				<span class="soft">nobody known</span>
			),
	},
	{ key: 'action', title: 'What', class: 'c-what', cell: (e) => <code>{e.action}</code> },
	{
		key: 'outcome',
		title: 'Outcome',
		class: 'c-outcome',
		cell: (e) => <span class={`tag outcome-${e.outcome}`}>{e.outcome}</span>,
	},
	{
		key: 'object',
		title: 'Of what',
		class: 'c-object',
		cell: (e) => (e.object ? <ObjectLink id={e.object} /> : <span class="soft">–</span>),
	},
	{ key: 'detail', title: 'Detail', class: 'c-detail', cell: (e) => e.detail ?? '' },
	{ key: 'from', title: 'From', class: 'c-from', cell: (e) => e.from ?? '' },
];

function useEntries(query: string) {
	const [list, setList] = useState<AuditEntry[] | null>(null);
	const [next, setNext] = useState<string | null>(null);
	const [problem, setProblem] = useState<Problem | null>(null);
	const [n, setN] = useState(0);
	const more = useSending();
	const path = (cursor: string) => `/v1/audit?limit=100${query}${cursor && `&cursor=${cursor}`}`;

	useEffect(() => {
		const gone = new AbortController();

		setProblem(null);
		get<Page<AuditEntry>>(path(''), gone.signal)
			.then((page) => {
				setList(page.items);
				setNext(page.next_cursor);
			})
			.catch((e: unknown) => gone.signal.aborted || setProblem(asProblem(e)));
		return () => gone.abort();
	}, [query, n]);
	return {
		list,
		problem,
		more,
		hasMore: next !== null,
		again: () => setN(n + 1),
		loadMore: () =>
			more.run(async () => {
				const page = await get<Page<AuditEntry>>(path(next ?? ''));

				setList((old) => [...(old ?? []), ...page.items]);
				setNext(page.next_cursor);
			}),
	};
}

function verdict(s: AuditState): string {
	if (s.ok)
		return `Untouched: all ${plural(s.rows, 'row')} are as they were written.`;
	return s.broken_at === null
		? 'Not as it was written.'
		: `Row ${count(s.broken_at)} is not as it was written, or is missing.`;
}

function Verify() {
	const sending = useSending();
	const [state, setState] = useState<AuditState | null>(null);
	const run = () => sending.run(async () => setState(await get<AuditState>('/v1/audit/verify')));

	return (
		<Panel
			title="Is it untouched?"
			class="wide"
			action={
				<Button busy={sending.busy} onClick={() => void run()}>
					{sending.busy ? 'Verifying…' : 'Verify'}
				</Button>
			}
		>
			{sending.problem && <ProblemNote problem={sending.problem} />}
			<div role="status">
				{state ? (
					<p class={`note ${state.ok ? 'good' : 'bad'}`}>
						<strong>{verdict(state)}</strong>
						<br />
						Newest row {state.last ?? 'none'}, hash <code class="hash">{state.hash}</code>
					</p>
				) : (
					<p class="quiet-note">
						The rows form a chain of hashes. Verifying reads all of them. Keep the newest hash
						elsewhere, and a log that was cut shows.
					</p>
				)}
			</div>
		</Panel>
	);
}

function Filters(p: { query: URLSearchParams }) {
	const set = (name: string) => (e: { currentTarget: { value: string } }) =>
		refine({ [name]: e.currentTarget.value.trim() });

	return (
		<div class="filters" role="search">
			<select aria-label="Action" value={p.query.get('action') ?? ''} onChange={set('action')}>
				<option value="">Any action</option>
				{ACTIONS.map((a) => (
					<option key={a} value={a}>
						{a}
					</option>
				))}
			</select>
			<input
				type="search"
				aria-label="Id of the user who did it"
				placeholder="By user id (usr_…)"
				autocomplete="off"
				spellcheck={false}
				value={p.query.get('actor') ?? ''}
				onChange={set('actor')}
			/>
			<input
				type="search"
				aria-label="Id of the object it was done to"
				placeholder="Of object id (dev_…)"
				autocomplete="off"
				spellcheck={false}
				value={p.query.get('object') ?? ''}
				onChange={set('object')}
			/>
		</div>
	);
}

export function Audit() {
	const { query } = useStore(place);
	const filter = ['action', 'actor', 'object']
		.map((name) => [name, query.get(name) ?? ''] as const)
		.filter(([, value]) => value)
		.map(([name, value]) => `&${name}=${encodeURIComponent(value)}`)
		.join('');
	const entries = useEntries(filter);
	const { list, problem } = entries;

	return (
		<>
			<header class="page-head">
				<h1 tabIndex={-1}>Audit log</h1>
				<Button onClick={entries.again}>Refresh</Button>
			</header>
			<Verify />
			<Filters query={query} />
			{problem ? (
				<Failed problem={problem} again={entries.again} />
			) : !list ? (
				<Loading what="the log" />
			) : list.length === 0 ? (
				<Empty
					title="Nothing fits"
					action={
						<Button onClick={() => refine({ action: '', actor: '', object: '' })}>Show everything</Button>
					}
				/>
			) : (
				<>
					<Table label="Audit log" class="audit" columns={COLUMNS} rows={list} keyOf={(e) => String(e.sequence)} />
					{entries.more.problem && <ProblemNote problem={entries.more.problem} />}
					{entries.hasMore && (
						<p class="more">
							<Button busy={entries.more.busy} onClick={() => void entries.loadMore()}>
								Show older ones
							</Button>
						</p>
					)}
				</>
			)}
		</>
	);
}
