// Traffic of a range of time as two rows of figures, which go on with what the stream tells.
import type { Traffic } from './model.ts';

export interface Range {
	key: string;
	title: string;
	seconds: number;
	step: number;
}

export const RANGES: Range[] = [
	{ key: 'live', title: '5 min', seconds: 300, step: 1 },
	{ key: 'hour', title: 'Hour', seconds: 3600, step: 60 },
	{ key: 'day', title: 'Day', seconds: 86400, step: 60 },
	{ key: 'week', title: 'Week', seconds: 7 * 86400, step: 3600 },
	{ key: 'month', title: 'Month', seconds: 31 * 86400, step: 3600 },
	{ key: 'year', title: 'Year', seconds: 366 * 86400, step: 86400 },
];

export const rangeOf = (key: string | null, other: string) =>
	(RANGES.find((r) => r.key === key) ?? RANGES.find((r) => r.key === other)) as Range;

// A step that has just begun has too little in it to be a rate.
const LEAST_S = 10;
// Rounds come about a second apart: a second without one is not known, more of them are silence.
const SKIP_S = 3;

/** Bytes of a step; null: not known. */
type Amount = number | null;

/** Bytes of steps, the oldest first; nothing is missing between. */
export class History {
	readonly at: number[] = []; // seconds since 1970
	readonly rx: Amount[] = [];
	readonly tx: Amount[] = [];

	constructor(
		readonly range: Range,
		now: number,
	) {
		const end = Math.floor(now / range.step) * range.step;

		for (let t = end - range.seconds + range.step; t <= end; t += range.step)
			this.push(t);
	}

	private push(t: number, amount: Amount = 0): void {
		this.at.push(t);
		this.rx.push(amount);
		this.tx.push(amount);
	}

	private get end(): number {
		return this.at[this.at.length - 1] ?? 0;
	}

	/** Sums of all series of an answer. */
	fill(traffic: Traffic): void {
		const first = this.at[0] ?? 0;

		for (const series of traffic.series) {
			for (const [when, rx, tx] of series.points) {
				const i = Math.round((Date.parse(when) / 1000 - first) / this.range.step);

				if (i < 0 || i >= this.at.length)
					continue;
				this.rx[i] = (this.rx[i] ?? 0) + rx;
				this.tx[i] = (this.tx[i] ?? 0) + tx;
			}
		}
		this.forgetEnd();
	}

	// The latest seconds are not counted yet.
	private forgetEnd(): void {
		for (let i = this.at.length - 1; this.range.step === 1 && i >= this.at.length - SKIP_S; i--) {
			if (this.rx[i] || this.tx[i])
				return;
			this.rx[i] = this.tx[i] = null;
		}
	}

	/** What moved until now (seconds). */
	add(now: number, rx: number, tx: number): void {
		const { step, seconds } = this.range;
		let t = step === 1 ? Math.round(now) : Math.floor(now / step) * step;

		// Rounds come a second apart, but not on the second.
		if (step === 1 && t === this.end)
			t++;
		if (t > this.end + seconds)
			t = this.end + step;
		const skipped = step === 1 && t - this.end <= SKIP_S ? null : 0;

		while (this.end < t)
			this.push(this.end + step, this.end + step < t ? skipped : 0);
		const i = this.at.length - 1;

		this.rx[i] = (this.rx[i] ?? 0) + rx;
		this.tx[i] = (this.tx[i] ?? 0) + tx;
		const old = this.at.length - Math.round(seconds / step);

		for (const list of old > 0 ? [this.at, this.rx, this.tx] : [])
			list.splice(0, old);
	}

	private rates(list: Amount[], now: number): Amount[] {
		const { step } = this.range;

		return list.map((n, i) => {
			if (n === null)
				return null;
			const over = i < list.length - 1 ? step : Math.min(step, Math.max(now - this.end, LEAST_S));

			return (n * 8) / over;
		});
	}

	/** Bits a second. */
	series(now: number): [at: number[], tx: Amount[], rx: Amount[]] {
		return [this.at, this.rates(this.tx, now), this.rates(this.rx, now)];
	}

	total(): { rx: number; tx: number } {
		const sum = (list: Amount[]) => list.reduce<number>((a, b) => a + (b ?? 0), 0);

		return { rx: sum(this.rx), tx: sum(this.tx) };
	}
}
