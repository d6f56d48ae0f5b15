// What changes and who looks at it. A Source says that something has changed; a Store also holds it.
import { useEffect, useReducer } from 'preact/hooks';

export class Source {
	private readonly watchers = new Set<() => void>();
	/** Rises with every change, so that a reader sees what happened before it began to watch. */
	version = 0;

	/** Calls fn after every change. Returns what ends that. */
	watch(fn: () => void): () => void {
		this.watchers.add(fn);
		return () => this.watchers.delete(fn);
	}

	changed(): void {
		this.version++;
		for (const fn of [...this.watchers])
			fn();
	}
}

export class Store<T> extends Source {
	constructor(private held: T) {
		super();
	}

	get value(): T {
		return this.held;
	}

	set(value: T): void {
		if (value === this.held)
			return;
		this.held = value;
		this.changed();
	}
}

const versionsOf = (sources: Source[]) => sources.map((s) => s.version).join();

function useWatch(sources: Source[], soonMs: number): void {
	const [, again] = useReducer((n: number, _: void) => n + 1, 0);
	const seen = versionsOf(sources);

	useEffect(() => {
		let timer = 0;
		const now = () => {
			timer = 0;
			again();
		};
		const soon = () => {
			if (soonMs === 0)
				now();
			else
				timer ||= window.setTimeout(now, soonMs);
		};
		const ends = sources.map((s) => s.watch(soon));

		if (versionsOf(sources) !== seen)
			now();
		return () => {
			clearTimeout(timer);
			ends.forEach((end) => end());
		};
	}, sources);
}

// A thousand sessions that end at once are not a thousand times the page.
const SOON_MS = 50;

/** Draws the component again soon after one of them has changed, however often they do. */
export function useSource(...sources: Source[]): void {
	useWatch(sources, SOON_MS);
}

/** Draws it again at once. */
export function useStore<T>(store: Store<T>): T {
	useWatch([store], 0);
	return store.value;
}
