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

/** Draws the component again when one of them changes. */
export function useSource(...sources: Source[]): void {
	const [, again] = useReducer((n: number) => n + 1, 0);
	const seen = sources.map((s) => s.version).join();

	useEffect(() => {
		const ends = sources.map((s) => s.watch(() => again(undefined as never)));

		if (sources.map((s) => s.version).join() !== seen)
			again(undefined as never);
		return () => ends.forEach((end) => end());
	}, sources);
}

export function useStore<T>(store: Store<T>): T {
	useSource(store);
	return store.value;
}
