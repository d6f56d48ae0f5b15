// Who is signed in here.
import type { Me, Role, User } from './model.ts';
import { asProblem, get, hasCsrf, keepCsrf, post, Problem, whenSignedOut } from './rest.ts';
import { Store } from './store.ts';

export type Login =
	| { state: 'unknown' }
	| { state: 'unreachable'; problem: Problem }
	| { state: 'out'; ended: boolean }
	| { state: 'in'; user: User; role: Role };

export const login = new Store<Login>({ state: 'unknown' });

function isIn(me: Me): void {
	login.set({ state: 'in', user: me.user, role: me.role });
}

function isOut(ended: boolean): void {
	keepCsrf(null);
	login.set({ state: 'out', ended });
}

// Requests that were under way when the login ended all say so; the first one counts.
whenSignedOut(() => {
	if (login.value.state === 'in')
		isOut(true);
});

// Another tab signed in or out.
addEventListener('storage', (e) => {
	if (e.key === 'ireko-csrf')
		void findLogin();
});

/** Asks the server who is signed in. */
export async function findLogin(): Promise<void> {
	if (!hasCsrf()) {
		login.set({ state: 'out', ended: login.value.state === 'in' });
		return;
	}
	try {
		isIn(await get<Me>('/v1/me'));
	} catch (e) {
		const problem = asProblem(e);

		if (problem.status === 401)
			isOut(true);
		else if (login.value.state !== 'in')
			login.set({ state: 'unreachable', problem });
	}
}

export async function signIn(username: string, password: string, totp?: string): Promise<void> {
	const body = totp ? { username, password, totp } : { username, password };
	const done = await post<{ user: User; csrf_token: string }>('/v1/login', body);

	keepCsrf(done.csrf_token);
	login.set({ state: 'in', user: done.user, role: done.user.role });
}

export async function signOut(): Promise<void> {
	try {
		await post('/v1/logout');
	} catch (e) {
		if (asProblem(e).status !== 401)
			throw e;
	}
	isOut(false);
}

const RANK: Role[] = ['user', 'auditor', 'operator', 'admin'];

/** Roles that this one may give away. */
export function rolesUpTo(role: Role): Role[] {
	return RANK.slice(0, RANK.indexOf(role) + 1);
}

export const readsAll = (role: Role) => role !== 'user';
export const manages = (role: Role) => role === 'operator' || role === 'admin';
export const writes = (role: Role) => role !== 'auditor';

/** After sign-in only. */
export function me(): { user: User; role: Role } {
	const now = login.value;

	if (now.state !== 'in')
		throw new Error('nobody is signed in');
	return now;
}
