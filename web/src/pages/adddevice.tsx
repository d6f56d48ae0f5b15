// From nothing to a profile: whose, what, how.
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { devices, users } from '../catalog.ts';
import { manages, me } from '../login.ts';
import type { Device, User } from '../model.ts';
import { Attempt, Problem, post } from '../rest.ts';
import { place } from '../router.ts';
import { useSource, useStore } from '../store.ts';
import { Button, Form, Input, LinkButton, useSending } from '../ui/form.tsx';
import { give, GivenOnce, WishFields, type Given, type Wish } from '../ui/give.tsx';
import { fromLocal, toLocal } from '../units.ts';

const NAMES = 50;
const USER_NAME = /^[A-Za-z0-9._@-]+$/;

function findUser(name: string): User | undefined {
	const wanted = name.trim().toLowerCase();

	return users.values().find((u) => u.name.toLowerCase() === wanted);
}

function namesLike(text: string): string[] {
	const wanted = text.trim().toLowerCase();
	const fit = users.values().filter((u) => u.name.toLowerCase().includes(wanted));

	return fit.slice(0, NAMES).map((u) => u.name);
}

function UserField(p: { value: string; onValue: (v: string) => void; error: string | undefined }) {
	const found = findUser(p.value);
	const hint = !p.value.trim()
		? 'Whose device it is. Choose somebody, or type a new name.'
		: found
			? (found.display_name ?? 'Is there already.')
			: !users.complete
				? 'Looking for that name…'
				: USER_NAME.test(p.value.trim())
					? 'Nobody has this name yet: the user will be created.'
					: 'A user’s name has letters, digits and . _ @ - only.';

	return (
		<Input
			label="User"
			value={p.value}
			onValue={p.onValue}
			options={namesLike(p.value)}
			hint={hint}
			error={p.error}
			maxLength={64}
			autocapitalize="off"
			required
			autofocus
		/>
	);
}

/** What was made so far: when a later step fails, a second try goes on from there. */
interface Made {
	userId?: string;
	device?: Device;
}

function useMaker() {
	const made = useRef<Made>({});
	const attempts = useMemo(() => ({ user: new Attempt(), device: new Attempt(), give: new Attempt() }), []);

	const owner = async (name: string): Promise<string> => {
		await users.readAll();
		const found = findUser(name);

		if (found)
			return found.id;
		const body = { name: name.trim() };
		const user = await post<User>('/v1/users', body, attempts.user.keyFor(body));

		users.put(user);
		return user.id;
	};

	const device = async (userId: string, name: string): Promise<Device> => {
		const before = made.current.device;
		const body = { user_id: userId, name: name.trim() };

		if (before && before.user_id === userId && before.name === body.name)
			return before;
		const d = await post<Device>('/v1/devices', body, attempts.device.keyFor(body));

		made.current.device = d;
		devices.put(d);
		return d;
	};

	return { owner, device, attempt: attempts.give };
}

/** The steps have fields of the same name: says which one is meant. */
async function step<T>(field: string, fn: () => Promise<T>): Promise<T> {
	try {
		return await fn();
	} catch (e) {
		if (!(e instanceof Problem))
			throw e;
		const fields = e.fields.map((f) => ({ ...f, field: f.field === 'name' ? field : f.field }));
		const taken = e.status === 409 && fields.length === 0 ? [{ field, message: 'is taken' }] : fields;

		throw new Problem(e.status, e.title, e.detail, e.type, taken, e.retryAfter);
	}
}

function Steps(p: { onGiven: (d: Device, g: Given) => void }) {
	const { user, role } = me();
	const { query } = useStore(place);
	const forOthers = manages(role);
	const sending = useSending();
	const maker = useMaker();
	const preset = users.want(query.get('user') ?? user.id);
	const [owner, setOwner] = useState<string | null>(query.has('user') ? null : '');
	const [name, setName] = useState('');
	const [wish, setWish] = useState<Wish>({ protocol: 'wireguard', way: 'profile', expires: '' });
	const ownerName = owner ?? preset?.name ?? '';

	const send = async () => {
		const userId = forOthers ? await step('user', () => maker.owner(ownerName)) : user.id;
		const device = await step('device', () => maker.device(userId, name));

		p.onGiven(device, await give(device.id, wish, fromLocal(wish.expires), maker.attempt));
	};

	return (
		<Form
			sending={sending}
			onSend={send}
			known={['user', 'device', 'expires_at']}
			label="Add device"
			fields={
				<>
					<div class="pair">
						{forOthers && (
							<UserField value={ownerName} onValue={setOwner} error={sending.problem?.of('user')} />
						)}
						<Input
							label="Device name"
							value={name}
							onValue={setName}
							hint="Like laptop or phone; no other device of the user has it."
							error={sending.problem?.of('device')}
							maxLength={64}
							required
							autofocus={!forOthers}
						/>
					</div>
					<WishFields
						value={wish}
						onValue={setWish}
						ends="Profile ends (optional)"
						min={toLocal(new Date().toISOString())}
						error={sending.problem?.of('expires_at')}
					/>
				</>
			}
		>
			<LinkButton href="#/devices">Cancel</LinkButton>
			<Button type="submit" kind="primary" busy={sending.busy}>
				Add device
			</Button>
		</Form>
	);
}

export function AddDevice() {
	const [done, setDone] = useState<{ device: Device; given: Given; n: number } | null>(null);
	const [n, setN] = useState(0);

	useSource(users);
	useEffect(() => {
		if (manages(me().role))
			void users.readAll();
	}, []);
	if (done)
		return (
			<>
				<header class="page-head">
					<h1 tabIndex={-1}>{done.device.name} is ready</h1>
				</header>
				<section class="panel narrow">
					<GivenOnce given={done.given} />
					<div class="form-buttons">
						<Button
							onClick={() => {
								setDone(null);
								setN(n + 1);
							}}
						>
							Add another
						</Button>
						<LinkButton href={`#/devices/${done.device.id}`}>Go to the device</LinkButton>
					</div>
				</section>
			</>
		);
	return (
		<>
			<header class="page-head">
				<h1 tabIndex={-1}>Add a device</h1>
			</header>
			<section class="panel narrow">
				<Steps key={n} onGiven={(device, given) => setDone({ device, given, n })} />
			</section>
		</>
	);
}
