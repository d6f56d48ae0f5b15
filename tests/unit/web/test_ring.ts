import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TICKS, Track } from '../../../web/src/ring.ts';

// The stupid one: everything that was ever put, by its tick.
test('a track says what a list of everything says', () => {
	for (let round = 0; round < 200; round++) {
		const track = new Track();
		const all = new Map<number, [number, number]>();
		let tick = Math.floor(Math.random() * 200);

		for (let i = 0; i < 100; i++) {
			tick += Math.random() < 0.1 ? Math.floor(Math.random() * 150) + 1 : 1;
			const rx = Math.floor(Math.random() * 1000);
			const tx = Math.floor(Math.random() * 1000);

			track.put(tick, rx, tx);
			all.set(tick, [rx, tx]);
			const now = tick + Math.floor(Math.random() * 3);

			for (let t = now - TICKS - 5; t <= now + 2; t++) {
				const seen = t > tick - TICKS ? (all.get(t) ?? [0, 0]) : [0, 0];

				assert.deepEqual([track.rxAt(t), track.txAt(t)], seen, `tick ${t} of ${tick}`);
			}
		}
	}
});

test('both ways, oldest first', () => {
	const track = new Track();

	track.put(10, 1, 2);
	track.put(12, 10, 20);
	assert.deepEqual(track.both(12, 4), [0, 3, 0, 30]);
	assert.deepEqual(track.both(13, 3), [0, 30, 0]);
});

test('silent after a minute', () => {
	const track = new Track();

	assert.ok(track.silent(TICKS));
	track.put(5, 1, 1);
	assert.ok(!track.silent(5 + TICKS - 1));
	assert.ok(track.silent(5 + TICKS));
});
