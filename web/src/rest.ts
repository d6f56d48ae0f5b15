// Requests to the API. What it refuses is thrown as a Problem, in its own words.
import type { Page } from './model.ts';

export interface FieldProblem {
	field: string;
	message: string;
}

export class Problem extends Error {
	/** status 0: no answer came at all. */
	constructor(
		readonly status: number,
		readonly title: string,
		readonly detail: string,
		readonly type = 'about:blank',
		readonly fields: FieldProblem[] = [],
		readonly retryAfter = 0,
	) {
		super(detail || title);
	}

	of(field: string): string | undefined {
		return this.fields.find((f) => f.field === field)?.message;
	}
}

export const TOTP_REQUIRED = 'urn:ireko:problem:totp-required';
const CSRF_KEY = 'ireko-csrf';
const UNREACHABLE = 'The server can’t be reached. Try again in a moment.';

let onSignedOut = () => {};

/** fn is called when an answer says that nobody is signed in. */
export function whenSignedOut(fn: () => void): void {
	onSignedOut = fn;
}

// Worth nothing without the HttpOnly cookie, so it may lie where every tab finds it.
export function keepCsrf(token: string | null): void {
	if (token)
		localStorage.setItem(CSRF_KEY, token);
	else
		localStorage.removeItem(CSRF_KEY);
}

export function hasCsrf(): boolean {
	return localStorage.getItem(CSRF_KEY) !== null;
}

function text(value: unknown): string {
	return typeof value === 'string' ? value : '';
}

async function problemOf(answer: Response): Promise<Problem> {
	const doc = (await answer.json().catch(() => ({}))) as Record<string, unknown>;
	const fields = Array.isArray(doc.errors) ? (doc.errors as FieldProblem[]) : [];
	const retry = Number(answer.headers.get('Retry-After')) || 0;
	const title = text(doc.title) || answer.statusText || `Error ${answer.status}`;

	return new Problem(answer.status, title, text(doc.detail), text(doc.type), fields, retry);
}

interface Options {
	key?: string | undefined;
	signal?: AbortSignal | undefined;
}

function headersOf(method: string, body: unknown, key?: string): Headers {
	const headers = new Headers({ Accept: 'application/json' });
	const csrf = localStorage.getItem(CSRF_KEY);

	if (body !== undefined)
		headers.set('Content-Type', 'application/json');
	if (method !== 'GET' && csrf)
		headers.set('X-CSRF-Token', csrf);
	if (key)
		headers.set('Idempotency-Key', key);
	return headers;
}

async function send(method: string, path: string, body: unknown, o: Options): Promise<Response> {
	try {
		return await fetch(path, {
			method,
			headers: headersOf(method, body, o.key),
			body: body === undefined ? null : JSON.stringify(body),
			credentials: 'same-origin',
			cache: 'no-store',
			signal: o.signal ?? null,
		});
	} catch (e) {
		if ((e as Error).name === 'AbortError')
			throw e;
		throw new Problem(0, 'Not connected', UNREACHABLE);
	}
}

async function call<T>(method: string, path: string, body?: unknown, o: Options = {}): Promise<T> {
	const answer = await send(method, path, body, o);

	if (!answer.ok) {
		const problem = await problemOf(answer);

		if (answer.status === 401 && path !== '/v1/login')
			onSignedOut();
		throw problem;
	}
	if (answer.status === 204)
		return undefined as T;
	return answer.json().catch(() => {
		throw new Problem(0, 'Not connected', 'The answer broke off.');
	}) as Promise<T>;
}

export const get = <T>(path: string, signal?: AbortSignal) => call<T>('GET', path, undefined, { signal });
export const post = <T>(path: string, body?: unknown, key?: string) => call<T>('POST', path, body, { key });
export const patch = <T>(path: string, body: unknown) => call<T>('PATCH', path, body);
export const del = (path: string) => call<void>('DELETE', path);

export const PAGE_MAX = 500;

/** Every page of a list, one after the other. */
export async function* pages<T>(path: string, signal?: AbortSignal): AsyncGenerator<T[]> {
	const sep = path.includes('?') ? '&' : '?';
	let cursor = '';

	for (;;) {
		const page = await get<Page<T>>(`${path}${sep}limit=${PAGE_MAX}${cursor}`, signal);

		yield page.items;
		if (!page.next_cursor)
			return;
		cursor = `&cursor=${page.next_cursor}`;
	}
}

export async function all<T>(path: string, signal?: AbortSignal): Promise<T[]> {
	const items: T[] = [];

	for await (const page of pages<T>(path, signal))
		items.push(...page);
	return items;
}

/** The key of one attempt to make something: a second press of the button after a lost answer makes
 * nothing twice, and another content is another attempt. */
export class Attempt {
	private key = '';
	private of = '';

	keyFor(body: unknown): string {
		const now = JSON.stringify(body);

		if (now !== this.of || !this.key) {
			this.of = now;
			this.key = [...crypto.getRandomValues(new Uint8Array(16))]
				.map((b) => b.toString(16).padStart(2, '0'))
				.join('');
		}
		return this.key;
	}
}

/** Whatever was thrown, as something that can be shown. */
export function asProblem(e: unknown): Problem {
	return e instanceof Problem ? e : new Problem(0, 'Something went wrong in this page', String(e));
}
