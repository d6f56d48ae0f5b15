import assert from 'node:assert/strict';
import { webcrypto } from 'node:crypto';
import { beforeEach, test } from 'node:test';
import { all, asProblem, Attempt, get, keepCsrf, post, Problem, whenSignedOut } from '../../../web/src/rest.ts';

interface Asked {
	path: string;
	method: string;
	headers: Headers;
	body: string | null;
}

let asked: Asked[] = [];
let answers: (Response | Error)[] = [];
const kept = new Map<string, string>();

// Node 18 has it only here.
if (!globalThis.crypto)
	Object.assign(globalThis, { crypto: webcrypto });

Object.assign(globalThis, {
	localStorage: {
		getItem: (k: string) => kept.get(k) ?? null,
		setItem: (k: string, v: string) => void kept.set(k, v),
		removeItem: (k: string) => void kept.delete(k),
	},
	fetch: async (path: string, init: Omit<Asked, 'path'>) => {
		const answer = answers.shift();

		asked.push({ path, method: init.method, headers: init.headers, body: init.body });
		if (!answer || answer instanceof Error)
			throw answer ?? new Error('nothing to answer');
		return answer;
	},
});

const json = (body: unknown, status = 200) => new Response(JSON.stringify(body), { status });

beforeEach(() => {
	asked = [];
	answers = [];
	kept.clear();
	whenSignedOut(() => {});
});

test('the CSRF token goes with writes, and only with them', async () => {
	keepCsrf('secret');
	answers = [json({}), json({})];
	await get('/v1/me');
	await post('/v1/logout', { a: 1 }, 'key');
	assert.equal(asked[0]?.headers.get('X-CSRF-Token'), null);
	assert.equal(asked[1]?.headers.get('X-CSRF-Token'), 'secret');
	assert.equal(asked[1]?.headers.get('Idempotency-Key'), 'key');
	assert.equal(asked[1]?.body, '{"a":1}');
});

test('a refusal is told in the words of the API', async () => {
	answers = [
		json(
			{
				type: 'about:blank',
				title: 'Unprocessable Content',
				status: 422,
				detail: 'Some fields can’t be taken.',
				errors: [{ field: 'name', message: 'must not be empty' }],
			},
			422,
		),
	];
	const problem = await post('/v1/users', {}).then(() => null, asProblem);

	assert.equal(problem?.status, 422);
	assert.equal(problem?.detail, 'Some fields can’t be taken.');
	assert.equal(problem?.of('name'), 'must not be empty');
	assert.equal(problem?.of('email'), undefined);
});

test('an answer that is no problem+json is one all the same', async () => {
	answers = [new Response('<html>', { status: 502, statusText: 'Bad Gateway' }), new Response('{', { status: 200 })];
	assert.equal((await get('/v1/me').catch(asProblem) as Problem).title, 'Bad Gateway');
	assert.equal((await get('/v1/me').catch(asProblem) as Problem).status, 0);
});

test('no answer at all', async () => {
	answers = [new TypeError('Failed to fetch')];
	const problem = (await get('/v1/me').catch(asProblem)) as Problem;

	assert.equal(problem.status, 0);
	assert.equal(problem.title, 'Not connected');
});

test('whoever is not signed in is told once, but not for a wrong password', async () => {
	let told = 0;

	whenSignedOut(() => told++);
	answers = [json({ title: 'Unauthorized' }, 401), json({ title: 'Unauthorized' }, 401)];
	await post('/v1/login', {}).catch(() => {});
	assert.equal(told, 0);
	await get('/v1/me').catch(() => {});
	assert.equal(told, 1);
});

test('all pages of a list', async () => {
	answers = [json({ items: [1, 2], next_cursor: 'abc' }), json({ items: [3], next_cursor: null })];
	assert.deepEqual(await all('/v1/users'), [1, 2, 3]);
	assert.deepEqual(
		asked.map((a) => a.path),
		['/v1/users?limit=500', '/v1/users?limit=500&cursor=abc'],
	);
});

test('one attempt has one key, another content another', () => {
	const attempt = new Attempt();
	const first = attempt.keyFor({ name: 'a' });

	assert.match(first, /^[0-9a-f]{32}$/);
	assert.equal(attempt.keyFor({ name: 'a' }), first);
	assert.notEqual(attempt.keyFor({ name: 'b' }), first);
	assert.notEqual(new Attempt().keyFor({ name: 'a' }), first);
});
