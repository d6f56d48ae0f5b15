// The latest figures of something that may be silent for long: a slot for each tick, and the number
// of the tick that was written last.

export const TICKS = 60;

export class Track {
	readonly rx = new Float32Array(TICKS);
	readonly tx = new Float32Array(TICKS);
	last = -1;

	put(tick: number, rx: number, tx: number): void {
		const silent = this.last < 0 ? TICKS : tick - this.last - 1;

		for (let i = 0; i < Math.min(silent, TICKS); i++) {
			const at = (tick - 1 - i + TICKS * 2) % TICKS;

			this.rx[at] = this.tx[at] = 0;
		}
		this.rx[tick % TICKS] = rx;
		this.tx[tick % TICKS] = tx;
		this.last = tick;
	}

	private at(list: Float32Array, tick: number): number {
		return tick > this.last || tick <= this.last - TICKS || tick < 0 ? 0 : (list[tick % TICKS] ?? 0);
	}

	rxAt(tick: number): number {
		return this.at(this.rx, tick);
	}

	txAt(tick: number): number {
		return this.at(this.tx, tick);
	}

	/** Sums of both ways, oldest first, up to that tick. */
	both(now: number, n = TICKS): number[] {
		return Array.from({ length: n }, (_, i) => {
			const tick = now - n + 1 + i;

			return this.rxAt(tick) + this.txAt(tick);
		});
	}

	silent(now: number): boolean {
		return this.last <= now - TICKS;
	}
}
