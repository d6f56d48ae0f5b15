// A list of the API that one page shows: read when the page comes, and again when something says so.
import { useEffect, useState } from 'preact/hooks';
import { all, asProblem, type Problem } from './rest.ts';

/** take gets all of it. again reads it once more, and so does a change of path or of one of when. */
export function useReading<T>(path: string, take: (items: T[]) => void, when: unknown[] = []) {
	const [problem, setProblem] = useState<Problem | null>(null);
	const [n, setN] = useState(0);

	useEffect(() => {
		const gone = new AbortController();

		all<T>(path, gone.signal)
			.then((items) => {
				take(items);
				setProblem(null);
			})
			.catch((e: unknown) => gone.signal.aborted || setProblem(asProblem(e)));
		return () => gone.abort();
	}, [path, n, ...when]);
	return { problem, again: () => setN((x) => x + 1) };
}
