import assert from 'node:assert/strict';
import { test } from 'node:test';
import { match, parsePlace } from '../../../web/src/router.ts';

test('places', () => {
	assert.equal(parsePlace('').path, '');
	assert.equal(parsePlace('#').path, '');
	assert.equal(parsePlace('#/').path, '');
	assert.equal(parsePlace('#/devices/').path, 'devices');
	const place = parsePlace('#/devices/dev_1?range=week&q=a%26b?c');

	assert.equal(place.path, 'devices/dev_1');
	assert.equal(place.query.get('range'), 'week');
	assert.equal(place.query.get('q'), 'a&b?c');
});

test('patterns', () => {
	assert.deepEqual(match('', ''), {});
	assert.deepEqual(match('devices', 'devices'), {});
	assert.deepEqual(match('devices/:id', 'devices/dev_1'), { id: 'dev_1' });
	for (const path of ['', 'devices', 'devices/', 'devices/a/b', 'users/a'])
		assert.equal(match('devices/:id', path), null);
});
