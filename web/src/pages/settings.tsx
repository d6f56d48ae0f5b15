// The viewer's own account, and what the whole service is set to.
import { useEffect, useState } from 'preact/hooks';
import { users } from '../catalog.ts';
import { login, me, readsAll, writes } from '../login.ts';
import type { Settings as SettingsModel, Totp, User } from '../model.ts';
import { asProblem, get, patch, post, type Problem } from '../rest.ts';
import { CopyButton, Facts, Panel, QrImage, When } from '../ui/bits.tsx';
import { Button, CodeInput, codeOf, Form, Input, LinkButton, useSending } from '../ui/form.tsx';
import { Failed, Loading } from '../ui/states.tsx';
import { say } from '../ui/toast.tsx';

function isNow(user: User): void {
	users.put(user);
	login.set({ state: 'in', user, role: me().role });
}

function Profile() {
	const { user } = me();
	const [display, setDisplay] = useState(user.display_name ?? '');
	const [email, setEmail] = useState(user.email ?? '');
	const sending = useSending();

	return (
		<Panel title="You">
			<Facts
				of={[
					['User name', user.name],
					['Role', me().role],
				]}
			/>
			{writes(me().role) ? (
				<Form
					sending={sending}
					known={['display_name', 'email']}
					onSend={async () => {
						isNow(
							await patch<User>(`/v1/users/${user.id}`, {
								display_name: display.trim() || null,
								email: email.trim() || null,
							}),
						);
						say('Saved');
					}}
					fields={
						<>
							<Input
								label="Display name"
								value={display}
								onValue={setDisplay}
								maxLength={128}
								autocomplete="name"
								error={sending.problem?.of('display_name')}
							/>
							<Input
								label="Email"
								type="email"
								value={email}
								onValue={setEmail}
								autocomplete="email"
								error={sending.problem?.of('email')}
							/>
						</>
					}
				>
					<Button type="submit" busy={sending.busy}>
						Save
					</Button>
				</Form>
			) : (
				<p class="quiet-note">Auditors change nothing. Ask an operator for another name or password.</p>
			)}
		</Panel>
	);
}

function Password() {
	const { user } = me();
	const [next, setNext] = useState('');
	const [again, setAgain] = useState('');
	const [differs, setDiffers] = useState(false);
	const sending = useSending();

	return (
		<Panel title="Password">
			<Form
				sending={sending}
				known={['password']}
				label="Password"
				onSend={async () => {
					setDiffers(next !== again);
					if (next !== again)
						return;
					isNow(await patch<User>(`/v1/users/${user.id}`, { password: next }));
					setNext('');
					setAgain('');
					say('The password was changed. Your other sign-ins have ended.');
				}}
				fields={
					<>
						<input class="off-screen" type="text" autocomplete="username" value={user.name} readOnly tabIndex={-1} aria-hidden="true" />
						<Input
							label="New password"
							type="password"
							value={next}
							onValue={setNext}
							autocomplete="new-password"
							maxLength={256}
							required
							hint="At least 8 characters."
							error={sending.problem?.of('password')}
						/>
						<Input
							label="New password again"
							type="password"
							value={again}
							onValue={setAgain}
							autocomplete="new-password"
							maxLength={256}
							required
							error={differs ? 'is not the same' : undefined}
						/>
					</>
				}
			>
				<Button type="submit" busy={sending.busy}>
					Change password
				</Button>
			</Form>
		</Panel>
	);
}

// ---- second factor ----

function CurrentPassword(p: { value: string; onValue: (v: string) => void; error: string | undefined }) {
	return <Input label="Current password" type="password" autocomplete="current-password" required {...p} />;
}

function TotpOff(p: { onDone: () => void }) {
	const [password, setPassword] = useState('');
	const [totp, setTotp] = useState('');
	const sending = useSending();

	return (
		<Form
			sending={sending}
			known={['password', 'totp']}
			label="Switch the second factor off"
			onSend={async () => {
				await post('/v1/me/totp/disable', { password, totp: codeOf(totp) });
				say('The second factor is off');
				p.onDone();
			}}
			fields={
				<>
					<p>It is on: signing in takes a code of your authenticator app.</p>
					<CurrentPassword value={password} onValue={setPassword} error={sending.problem?.of('password')} />
					<CodeInput value={totp} onValue={setTotp} error={sending.problem?.of('totp')} />
				</>
			}
		>
			<Button type="submit" kind="danger" busy={sending.busy}>
				Switch off
			</Button>
		</Form>
	);
}

function TotpConfirm(p: { totp: Totp; onDone: () => void; onCancel: () => void }) {
	const [totp, setTotp] = useState('');
	const sending = useSending();

	return (
		<Form
			sending={sending}
			known={['totp']}
			label="Confirm the second factor"
			onSend={async () => {
				await post('/v1/me/totp/confirm', { totp: codeOf(totp) });
				say('The second factor is on');
				p.onDone();
			}}
			fields={
				<>
					<p>
						Scan this with your authenticator app, or type the secret into it. It is shown once. Then enter
						the code that the app shows.
					</p>
					{p.totp.qr_svg && <QrImage svg={p.totp.qr_svg} label="QR code for the authenticator app" />}
					<Input label="Secret" value={p.totp.secret} onValue={() => {}} readOnly class="mono" />
					<CopyButton text={p.totp.secret} label="Copy secret" />
					<CodeInput value={totp} onValue={setTotp} autofocus error={sending.problem?.of('totp')} />
				</>
			}
		>
			<Button onClick={p.onCancel}>Cancel</Button>
			<Button type="submit" kind="primary" busy={sending.busy}>
				Switch on
			</Button>
		</Form>
	);
}

function TotpBegin(p: { onBegun: (t: Totp) => void }) {
	const [password, setPassword] = useState('');
	const sending = useSending();

	return (
		<Form
			sending={sending}
			known={['password']}
			label="Set up a second factor"
			onSend={async () => p.onBegun(await post<Totp>('/v1/me/totp', { password }))}
			fields={
				<>
					<p>It is off. With one, signing in takes a code of an authenticator app besides the password.</p>
					<CurrentPassword value={password} onValue={setPassword} error={sending.problem?.of('password')} />
				</>
			}
		>
			<Button type="submit" busy={sending.busy}>
				Set up
			</Button>
		</Form>
	);
}

function SecondFactor() {
	const { user } = me();
	const [begun, setBegun] = useState<Totp | null>(null);
	const done = (on: boolean) => {
		setBegun(null);
		isNow({ ...me().user, totp: on });
	};

	return (
		<Panel title="Second factor">
			{user.totp ? (
				<TotpOff onDone={() => done(false)} />
			) : begun ? (
				<TotpConfirm totp={begun} onDone={() => done(true)} onCancel={() => setBegun(null)} />
			) : (
				<TotpBegin onBegun={setBegun} />
			)}
		</Panel>
	);
}

// ---- the service ----

/** How a setting is written in a field, and read back. undefined: it can't be read. */
interface Kind {
	show: (s: unknown) => string;
	read: (text: string) => unknown;
}

const NUMBER: Kind = {
	show: (v) => (v === null ? '' : String(v)),
	read: (text) => (/^\d+$/.test(text) ? Number(text) : text === '' ? null : text),
};
const TEXT: Kind = { show: (v) => String(v ?? ''), read: (text) => (text === '' ? null : text) };
const LIST: Kind = {
	show: (v) => (v as string[]).join(', '),
	read: (text) => text.split(/[\s,]+/).filter(Boolean),
};
const DAY = 86400;
const DAYS: Kind = {
	show: (v) => (v === null ? '' : String((v as number) / DAY)),
	read: (text) => (text === '' ? 0 : Number.isFinite(Number(text)) ? Math.round(Number(text) * DAY) : text),
};

const FIELDS: { name: string; label: string; kind: Kind; hint: string; none?: string }[] = [
	{ name: 'endpoint', label: 'Endpoint', kind: TEXT, hint: 'Host that profiles tell clients to connect to.' },
	{ name: 'dns', label: 'DNS', kind: LIST, hint: 'Up to four resolvers that profiles name, with commas.', none: 'none' },
	{ name: 'mtu', label: 'MTU', kind: NUMBER, hint: 'Of the tunnel, 1280 to 9000.' },
	{ name: 'keepalive', label: 'Keepalive', kind: NUMBER, hint: 'Seconds between keepalives, 0 for none.' },
	{
		name: 'credential_lifetime_s',
		label: 'Lifetime of credentials',
		kind: DAYS,
		hint: 'Days that a new credential lives. Empty: for ever.',
		none: 'for ever',
	},
	{ name: 'traffic_retention.minutes', label: 'Traffic by the minute', kind: NUMBER, hint: 'Days that it is kept.' },
	{ name: 'traffic_retention.hours', label: 'Traffic by the hour', kind: NUMBER, hint: 'Days that it is kept.' },
	{ name: 'traffic_retention.days', label: 'Traffic by the day', kind: NUMBER, hint: 'Days that it is kept.' },
	{ name: 'audit_retention_days', label: 'Audit log', kind: NUMBER, hint: 'Days that it is kept.' },
];

function valueAt(of: object, name: string): unknown {
	return name.split('.').reduce<unknown>((v, part) => (v as Record<string, unknown>)[part], of);
}

type Texts = Record<string, string>;

function textsOf(s: object): Texts {
	return Object.fromEntries(FIELDS.map((f) => [f.name, f.kind.show(valueAt(s, f.name))]));
}

/** A merge patch of what was changed; what is as the default is given back to it. */
function changes(before: Texts, after: Texts, defaults: Texts): Record<string, unknown> {
	const body: Record<string, unknown> = {};

	for (const f of FIELDS) {
		const text = (after[f.name] ?? '').trim();
		const [outer, inner] = f.name.split('.') as [string, string | undefined];

		if (text === before[f.name])
			continue;
		const value = text === defaults[f.name] ? null : f.kind.read(text);

		body[outer] = inner ? { ...(body[outer] as object), [inner]: value } : value;
	}
	return body;
}

function ServiceForm(p: { settings: SettingsModel; onSaved: (s: SettingsModel) => void }) {
	const { settings } = p;
	const before = textsOf(settings);
	const defaults = textsOf(settings.defaults);
	const [texts, setTexts] = useState(before);
	const sending = useSending();

	return (
		<Form
			sending={sending}
			label="Service"
			known={FIELDS.map((f) => f.name)}
			onSend={async () => {
				const body = changes(before, texts, defaults);

				if (Object.keys(body).length > 0) {
					const next = await patch<SettingsModel>('/v1/settings', body);

					p.onSaved(next);
					setTexts(textsOf(next));
				}
				say('Saved');
			}}
			fields={
				<div class="settings-grid">
					{FIELDS.map((f) => (
						<Input
							key={f.name}
							label={f.label}
							value={texts[f.name] ?? ''}
							onValue={(v) => setTexts({ ...texts, [f.name]: v })}
							hint={`${f.hint} Default: ${defaults[f.name] || f.none || 'none'}.`}
							error={sending.problem?.of(f.name)}
						/>
					))}
				</div>
			}
		>
			<Button onClick={() => setTexts(defaults)}>Fill in the defaults</Button>
			<Button type="submit" kind="primary" busy={sending.busy}>
				Save settings
			</Button>
		</Form>
	);
}

function Service() {
	const { role } = me();
	const [settings, setSettings] = useState<SettingsModel | null>(null);
	const [problem, setProblem] = useState<Problem | null>(null);
	const load = () => {
		get<SettingsModel>('/v1/settings')
			.then((s) => {
				setSettings(s);
				setProblem(null);
			})
			.catch((e: unknown) => setProblem(asProblem(e)));
	};

	useEffect(load, []);
	return (
		<Panel title="Service" class="wide">
			{problem && <Failed problem={problem} again={load} />}
			{!settings && !problem && <Loading />}
			{settings && role === 'admin' && <ServiceForm settings={settings} onSaved={setSettings} />}
			{settings && role !== 'admin' && (
				<>
					<p class="quiet-note">Only an admin can change these.</p>
					<Facts
						of={FIELDS.map((f) => [f.label, f.kind.show(valueAt(settings, f.name)) || (f.none ?? 'none')])}
					/>
				</>
			)}
			{settings && (
				<p class="quiet-note">
					Last changed: <When at={settings.updated_at} />.
				</p>
			)}
		</Panel>
	);
}

function Backup() {
	return (
		<Panel title="Backup" class="wide">
			<p>
				A snapshot of the whole database, taken while the service goes on. Keep the master key as well, and
				elsewhere: without it a backup is of no use.
			</p>
			<div class="row">
				<LinkButton href="/v1/backup" download>
					Download backup
				</LinkButton>
			</div>
		</Panel>
	);
}

export function Settings() {
	const { role } = me();

	return (
		<>
			<header class="page-head">
				<h1 tabIndex={-1}>Settings</h1>
			</header>
			<div class="columns">
				<Profile />
				{writes(role) && <Password />}
				<SecondFactor />
			</div>
			{readsAll(role) && <Service />}
			{role === 'admin' && <Backup />}
		</>
	);
}
