// Bearer tokens for programs.
import { useMemo, useState } from 'preact/hooks';
import { me, readsAll, rolesUpTo, writes } from '../login.ts';
import type { NewToken, Token } from '../model.ts';
import { useReading } from '../reading.ts';
import { Attempt, del, post } from '../rest.ts';
import { Ago, CopyButton, UserName, When } from '../ui/bits.tsx';
import { ConfirmByName, Dialog, FormDialog } from '../ui/dialog.tsx';
import { Button, Input, Select, useSending } from '../ui/form.tsx';
import { Icon } from '../ui/icons.tsx';
import { Empty, Failed, Loading } from '../ui/states.tsx';
import { Table, type Column } from '../ui/table.tsx';
import { say } from '../ui/toast.tsx';
import { fromLocal } from '../units.ts';

function CreateDialog(p: { onClose: () => void; onMade: () => void }) {
	const { role } = me();
	const [name, setName] = useState('');
	const [of, setOf] = useState<string>(role);
	const [expires, setExpires] = useState('');
	const [made, setMade] = useState<NewToken | null>(null);
	const attempt = useMemo(() => new Attempt(), []);
	const sending = useSending();

	if (made)
		return (
			<Dialog title={`Token ${made.name}`} onClose={p.onClose} wide>
				<p class="note warn">
					<strong>This token is shown once.</strong> Copy it now: only its hash is stored.
				</p>
				<Input label="Token" value={made.token} onValue={() => {}} readOnly autofocus class="mono" />
				<div class="form-buttons">
					<CopyButton text={made.token} label="Copy token" />
					<Button onClick={p.onClose}>Done</Button>
				</div>
			</Dialog>
		);
	return (
		<FormDialog
			title="Create token"
			verb="Create token"
			sending={sending}
			onClose={p.onClose}
			known={['name', 'role', 'expires_at']}
			onSend={async () => {
				const body = { name: name.trim(), role: of, expires_at: fromLocal(expires) };

				setMade(await post<NewToken>('/v1/tokens', body, attempt.keyFor(body)));
				p.onMade();
			}}
			fields={
				<>
					<Input
						label="Token name"
						value={name}
						onValue={setName}
						hint="What it is for."
						maxLength={64}
						required
						autofocus
						error={sending.problem?.of('name')}
					/>
					<Select
						label="Role"
						value={of}
						onValue={setOf}
						options={rolesUpTo(role).map((r) => [r, r])}
						error={sending.problem?.of('role')}
					/>
					<Input
						label="Ends (optional)"
						type="datetime-local"
						value={expires}
						onValue={setExpires}
						hint="Left empty: never."
						error={sending.problem?.of('expires_at')}
					/>
				</>
			}
		/>
	);
}

function useTokens() {
	const [list, setList] = useState<Token[] | null>(null);

	return { list, ...useReading<Token>('/v1/tokens', (items) => setList(items.reverse())) };
}

function columnsFor(mine: string, mayChange: boolean, onRevoke: (t: Token) => void): Column<Token>[] {
	const { role } = me();
	const owner: Column<Token> = { key: 'user', title: 'User', cell: (t) => <UserName id={t.user_id} link /> };

	return [
		{ key: 'name', title: 'Name', cell: (t) => <span class="name">{t.name}</span> },
		...(readsAll(role) ? [owner] : []),
		{ key: 'role', title: 'Role', cell: (t) => <span class="tag">{t.role}</span> },
		{ key: 'made', title: 'Created', cell: (t) => <When at={t.created_at} /> },
		{ key: 'used', title: 'Last used', cell: (t) => <Ago at={t.last_used_at} /> },
		{ key: 'ends', title: 'Ends', cell: (t) => <When at={t.expires_at} /> },
		{
			key: 'do',
			title: 'Actions',
			class: 'c-do',
			cell: (t) =>
				mayChange &&
				(t.user_id === mine || role === 'admin') && (
					<Button kind="quiet" label={`Revoke token ${t.name}`} onClick={() => onRevoke(t)}>
						Revoke
					</Button>
				),
		},
	];
}

export function Tokens() {
	const { role, user } = me();
	const { list, problem, again } = useTokens();
	const [creating, setCreating] = useState(false);
	const [revoking, setRevoking] = useState<Token | null>(null);
	const mayChange = writes(role);
	const create = (
		<Button kind="primary" onClick={() => setCreating(true)}>
			<Icon name="add" /> Create token
		</Button>
	);

	return (
		<>
			<header class="page-head">
				<h1 tabIndex={-1}>Tokens</h1>
				{mayChange && list && list.length > 0 && create}
			</header>
			{problem && <Failed problem={problem} again={again} />}
			{!list && !problem && <Loading what="tokens" />}
			{list && list.length === 0 && (
				<Empty title="No token yet" action={mayChange && create}>
					A token lets a program use the API as you, with your role or a lower one.
				</Empty>
			)}
			{list && list.length > 0 && (
				<Table
					label="Tokens"
					rows={list}
					keyOf={(t) => t.id}
					columns={columnsFor(user.id, mayChange, setRevoking)}
				/>
			)}
			{creating && <CreateDialog onClose={() => setCreating(false)} onMade={again} />}
			{revoking && (
				<ConfirmByName
					title="Revoke token"
					name={revoking.name}
					verb="Revoke"
					onClose={() => setRevoking(null)}
					onConfirm={async () => {
						await del(`/v1/tokens/${revoking.id}`);
						say('Revoked');
						again();
					}}
				>
					<p>
						Programs that use <strong>{revoking.name}</strong> are refused from now on.
					</p>
				</ConfirmByName>
			)}
		</>
	);
}
