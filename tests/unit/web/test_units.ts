import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bytes, carrier, duration, fromLocal, plural, rate, relative, toLocal } from '../../../web/src/units.ts';

const flat = (text: string) => text.replaceAll('\u00a0', ' ');

test('figures have three digits and a sensible unit', () => {
	const cases: [number, string][] = [
		[0, '0 B'],
		[999, '999 B'],
		[1000, '1.0 kB'],
		[99_949, '99.9 kB'],
		[99_950, '100 kB'],
		[999_499, '999 kB'],
		[999_500, '1.0 MB'],
		[1.25e12, '1.3 TB'],
		[2 ** 63, '9.2 EB'],
		[1e22, '10000 EB'],
	];

	for (const [n, text] of cases)
		assert.equal(flat(bytes(n)), text);
	assert.equal(flat(rate(12_345_678)), '12.3 Mbit/s');
});

test('no figure is ever shorter than it is', () => {
	for (let e = 0; e < 18; e++) {
		const n = 10 ** e;
		const [figure, unit] = flat(bytes(n)).split(' ');
		const power = ['B', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB'].indexOf(unit ?? '');

		assert.equal(Number(figure) * 1000 ** power, n);
	}
});

test('times as their distance', () => {
	const now = Date.parse('2030-01-31T12:00:00Z');
	const at = (s: number) => new Date(now + s * 1000).toISOString();

	assert.equal(relative(at(0), now), 'just now');
	assert.equal(relative(at(-9), now), 'just now');
	assert.equal(relative(at(5), now), 'in a moment');
	assert.equal(relative(at(-59), now), '59 s ago');
	assert.equal(relative(at(-60), now), '1 min ago');
	assert.equal(relative(at(3599), now), 'in 59 min');
	assert.equal(relative(at(-86399), now), '23 h ago');
	assert.equal(relative(at(-86400), now), '1 day ago');
	assert.equal(relative(at(2 * 86400), now), 'in 2 days');
	assert.ok(!relative(at(-40 * 86400), now).includes('ago'));
});

test('durations', () => {
	assert.equal(duration(-1), '0 s');
	assert.equal(duration(59), '59 s');
	assert.equal(duration(3599), '59 min');
	assert.equal(duration(3661), '1 h 1 min');
	assert.equal(duration(90_000), '1 day 1 h');
});

test('a local time survives the field it is edited in', () => {
	for (const iso of ['2030-01-31T12:00:00.000Z', '2030-07-01T00:30:00.000Z'])
		assert.equal(fromLocal(toLocal(iso)), iso);
	assert.equal(fromLocal(''), null);
	assert.equal(fromLocal('nonsense'), null);
	assert.equal(toLocal(null), '');
});

test('words', () => {
	assert.equal(plural(1, 'device'), '1 device');
	assert.equal(plural(10_000, 'device'), '10,000 devices');
	assert.equal(carrier({ protocol: 'openvpn', transport: 'tcp' }), 'OpenVPN TCP');
	assert.equal(carrier({ protocol: 'wireguard', transport: 'udp' }), 'WireGuard');
});
