import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ordered, sortKey } from '../../../web/src/ui/table.tsx';

const inOrder = (names: string[], down = false) => ordered(names, (n) => n, down);

test('names as people sort them', () => {
	assert.deepEqual(inOrder(['b', 'A', 'c', 'Á1', 'a10', 'a9', 'a 2']), ['A', 'a 2', 'Á1', 'a9', 'a10', 'b', 'c']);
	assert.deepEqual(inOrder(['x2', 'x10', 'x1'], true), ['x10', 'x2', 'x1']);
	assert.deepEqual(inOrder(['v007', 'v7', 'v08']), ['v007', 'v7', 'v08']);
});

test('numbers by their size, the same ones in the order they came', () => {
	const rows = [{ n: 3, i: 0 }, { n: Infinity, i: 1 }, { n: 3, i: 2 }, { n: 0, i: 3 }];

	assert.deepEqual(ordered(rows, (r) => r.n, false).map((r) => r.i), [3, 0, 2, 1]);
	assert.deepEqual(ordered(rows, (r) => r.n, true).map((r) => r.i), [1, 0, 2, 3]);
});

test('no text is too odd for a key', () => {
	for (const text of ['', '\u0000', '🦊', '\ud800', '‮abc', '9'.repeat(64), '<b>', '٣'])
		assert.equal(typeof sortKey(text), 'string');
});
