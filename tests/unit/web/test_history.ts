import assert from 'node:assert/strict';
import { test } from 'node:test';
import { History, RANGES, rangeOf, type Range } from '../../../web/src/history.ts';

const NOW = Date.parse('2030-01-31T12:34:56Z') / 1000;
const iso = (s: number) => new Date(s * 1000).toISOString();
const range = (key: string) => rangeOf(key, 'live') as Range;

function steps(h: History): void {
	for (let i = 1; i < h.at.length; i++)
		assert.equal((h.at[i] ?? 0) - (h.at[i - 1] ?? 0), h.range.step);
	assert.equal(h.at.length, Math.round(h.range.seconds / h.range.step));
	assert.equal(h.rx.length, h.at.length);
	assert.equal(h.tx.length, h.at.length);
}

test('every range has all of its steps, the last of which holds now', () => {
	for (const r of RANGES) {
		const h = new History(r, NOW);
		const end = h.at[h.at.length - 1] ?? 0;

		steps(h);
		assert.ok(end <= NOW && NOW < end + r.step);
	}
});

test('ranges are known by their name only', () => {
	assert.equal(rangeOf('week', 'live').key, 'week');
	assert.equal(rangeOf('__proto__', 'hour').key, 'hour');
	assert.equal(rangeOf(null, 'day').key, 'day');
});

test('points go where they belong, series add up, what is outside is left out', () => {
	const h = new History(range('hour'), NOW);
	const minute = Math.floor(NOW / 60) * 60;

	h.fill({
		from: iso(minute - 7200),
		to: iso(minute + 60),
		step: 60,
		series: [
			{ device_id: 'a', points: [[iso(minute - 7200), 9, 9], [iso(minute - 60), 1, 2], [iso(minute), 10, 20]] },
			{ device_id: 'b', points: [[iso(minute - 60), 100, 200], [iso(minute + 600), 9, 9]] },
		],
	});
	assert.deepEqual(h.rx.slice(-3), [0, 101, 10]);
	assert.deepEqual(h.tx.slice(-3), [0, 202, 20]);
	assert.deepEqual(h.total(), { rx: 111, tx: 222 });
});

test('rounds of a second are never lost, whatever their jitter', () => {
	for (let round = 0; round < 50; round++) {
		const h = new History(range('live'), NOW);
		let put = 0;

		for (let i = 1; i <= 100; i++) {
			h.add(NOW + i + (Math.random() - 0.5) * 0.8, 3, 0);
			put += 3;
			steps(h);
		}
		assert.equal(h.total().rx, put);
		assert.ok((h.at[h.at.length - 1] ?? 0) <= NOW + 103, 'does not run ahead');
	}
});

test('what is older than the range goes', () => {
	const h = new History(range('live'), NOW);

	h.add(NOW + 1, 5, 5);
	for (let i = 2; i < 310; i++)
		h.add(NOW + i, 0, 0);
	steps(h);
	assert.deepEqual(h.total(), { rx: 0, tx: 0 });
});

test('a clock that jumps far ahead costs neither time nor memory', () => {
	const h = new History(range('live'), NOW);

	h.add(NOW + 1e9, 1, 1);
	steps(h);
});

test('a step that has just begun is no peak', () => {
	const h = new History(range('year'), Math.floor(NOW / 86400) * 86400 + 1);

	h.add(Math.floor(NOW / 86400) * 86400 + 1, 1000, 0);
	const [, , rx] = h.series(Math.floor(NOW / 86400) * 86400 + 1);

	assert.equal(rx[rx.length - 1], 800);
});

test('a second that was not counted yet, or had no round, is not known', () => {
	const h = new History(range('live'), NOW);
	const points: [string, number, number][] = [[iso(NOW - 4), 8, 8], [iso(NOW - 3), 8, 8]];

	h.fill({ from: iso(NOW - 300), to: iso(NOW), step: 1, series: [{ device_id: null, points }] });
	assert.deepEqual(h.rx.slice(-5), [8, 8, null, null, null]);
	h.add(NOW + 1, 5, 5);
	h.add(NOW + 3, 6, 6);
	assert.deepEqual(h.rx.slice(-4), [null, 5, null, 6]);
	h.add(NOW + 13, 7, 7);
	assert.deepEqual(h.rx.slice(-3), [0, 0, 7]);
	assert.deepEqual(h.total(), { rx: 34, tx: 34 });
	assert.equal(h.series(NOW + 13)[1][h.at.length - 11], 48);
});
