// Where the page is: what stands behind the # of its address, so that links, bookmarks and the back
// button work while the server only knows one page.
import { Store } from './store.ts';

export interface Place {
	path: string;
	query: URLSearchParams;
}

export function parsePlace(hash: string): Place {
	const text = hash.replace(/^#?\/?/, '');
	const cut = text.indexOf('?');
	const path = cut < 0 ? text : text.slice(0, cut);

	return { path: path.replace(/\/+$/, ''), query: new URLSearchParams(cut < 0 ? '' : text.slice(cut + 1)) };
}

export const place = new Store<Place>(parsePlace(''));

// Every entry of the history has a name, so that coming back to one is known from going on to a new
// one, and finds the page where it was scrolled to.
const positions = new Map<string, number>();
const POSITIONS_MAX = 200;
let entry = '';
let serial = 0;

/** How far down the place that was just gone to begins. */
export let scrollWanted = 0;

function enter(): void {
	const known = (history.state as { entry?: string } | null)?.entry;

	if (entry)
		positions.set(entry, scrollY);
	for (const old of positions.size > POSITIONS_MAX ? [...positions.keys()].slice(0, POSITIONS_MAX / 2) : [])
		positions.delete(old);
	entry = known ?? `${Date.now()} ${++serial}`;
	scrollWanted = positions.get(entry) ?? 0;
	if (!known)
		history.replaceState({ entry }, '');
}

function look(): void {
	place.set(parsePlace(location.hash));
}

export function startRouter(): void {
	history.scrollRestoration = 'manual';
	addEventListener('hashchange', () => {
		enter();
		look();
	});
	enter();
	look();
}

export function go(to: string): void {
	location.hash = `#/${to}`;
}

/** Changes parameters of this very place without a new entry in the history. */
export function refine(changes: Record<string, string>): void {
	const { path, query } = place.value;
	const next = new URLSearchParams(query);

	for (const [name, value] of Object.entries(changes)) {
		if (value)
			next.set(name, value);
		else
			next.delete(name);
	}
	const tail = next.toString();

	history.replaceState({ entry }, '', `#/${path}${tail ? `?${tail}` : ''}`);
	look();
}

/** The parts that a pattern like "devices/:id" names, or null when the path is another. */
export function match(pattern: string, path: string): Record<string, string> | null {
	const want = pattern.split('/');
	const have = path.split('/');
	const found: Record<string, string> = {};

	if (want.length !== have.length)
		return null;
	for (const [i, part] of want.entries()) {
		const given = have[i] ?? '';

		if (part.startsWith(':')) {
			if (!given)
				return null;
			found[part.slice(1)] = given;
		} else if (part !== given) {
			return null;
		}
	}
	return found;
}
