// What was done, said once where it disturbs nobody.
import { Store, useStore } from '../store.ts';

const said = new Store<{ n: number; text: string } | null>(null);
let n = 0;
let timer = 0;

export function say(text: string): void {
	said.set({ n: ++n, text });
	clearTimeout(timer);
	timer = window.setTimeout(() => said.set(null), 5000);
}

export function Toasts() {
	const now = useStore(said);

	return (
		<div class="toasts" role="status" aria-live="polite">
			{now && (
				<p key={now.n} class="toast">
					{now.text}
				</p>
			)}
		</div>
	);
}
