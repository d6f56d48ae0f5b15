// Users and devices by id: single ones when a name is needed, all of them when a list is shown.
import type { Device, DeviceEvent, Session, User } from './model.ts';
import { asProblem, get, pages, Problem } from './rest.ts';
import { Source } from './store.ts';

const MISSING_MAX = 500;

export class Catalog<T extends { id: string }> extends Source {
	protected items = new Map<string, T>();
	private found = this.items; // where a list that is being read goes
	private asked = new Map<string, Promise<void>>();
	private missing = new Map<string, Problem>();
	private reading: AbortController | null = null;
	/** All of them are here. */
	complete = false;
	problem: Problem | null = null;

	constructor(protected readonly path: string) {
		super();
	}

	get size(): number {
		return this.items.size;
	}

	get loading(): boolean {
		return this.reading !== null;
	}

	values(): T[] {
		return [...this.items.values()];
	}

	/** What is known now. */
	peek(id: string): T | undefined {
		return this.items.get(id);
	}

	/** Why this one can't be shown. */
	problemOf(id: string): Problem | undefined {
		return this.missing.get(id);
	}

	/** What is known now; what is not is asked for. */
	want(id: string): T | undefined {
		const known = this.items.get(id);

		if (!known && !this.missing.has(id))
			void this.refresh(id);
		return known;
	}

	refresh(id: string): Promise<void> {
		let going = this.asked.get(id);

		if (!going) {
			going = this.fetchOne(id).finally(() => this.asked.delete(id));
			this.asked.set(id, going);
		}
		return going;
	}

	private async fetchOne(id: string): Promise<void> {
		try {
			this.put(await get<T>(`${this.path}/${id}`));
			return;
		} catch (e) {
			const problem = asProblem(e);

			if (problem.status === 404)
				this.remove(id);
			if (!this.items.has(id))
				this.lack(id, problem);
		}
		this.changed();
	}

	put(item: T): void {
		this.items.set(item.id, item);
		this.found.set(item.id, item);
		this.missing.delete(item.id);
		this.changed();
	}

	private remove(id: string): void {
		this.items.delete(id);
		this.found.delete(id);
	}

	/** It was deleted. */
	drop(id: string): void {
		this.remove(id);
		this.lack(id, new Problem(404, 'Not Found', 'It was deleted.'));
		this.changed();
	}

	private lack(id: string, problem: Problem): void {
		if (this.missing.size >= MISSING_MAX)
			this.missing.clear();
		this.missing.set(id, problem);
	}

	/** Reads the whole list once; what is there is kept until all of the new one has come. */
	async readAll(force = false): Promise<void> {
		if (this.reading || (this.complete && !force))
			return;
		const mine = (this.reading = new AbortController());
		const found = (this.found = this.complete ? new Map<string, T>() : this.items);

		this.problem = null;
		this.changed();
		try {
			for await (const page of pages<T>(this.path, mine.signal)) {
				for (const item of page)
					found.set(item.id, item);
				this.changed();
			}
			this.items = found;
			this.complete = true;
		} catch (e) {
			if (mine.signal.aborted)
				return;
			this.problem = asProblem(e);
		}
		this.reading = null;
		this.changed();
	}

	/** After something may have been missed. */
	readAgain(): void {
		const wanted = this.complete || this.problem !== null;
		const single = [...this.items.keys(), ...this.missing.keys()];

		this.missing.clear();
		if (wanted || this.reading) {
			this.reading?.abort();
			this.reading = null;
			void this.readAll(true);
		} else if (single.length <= 50) {
			for (const id of single)
				void this.refresh(id);
		} else {
			this.items.clear();
			this.changed();
		}
	}

	forget(): void {
		this.reading?.abort();
		this.reading = null;
		this.items = this.found = new Map();
		this.missing.clear();
		this.complete = false;
		this.problem = null;
		this.changed();
	}
}

const BURST = 100;

class Devices extends Catalog<Device> {
	private waiting = new Set<string>();
	private working = false;

	onChange(e: DeviceEvent): void {
		if (e.change === 'deleted') {
			this.waiting.delete(e.device_id);
			this.drop(e.device_id);
			return;
		}
		if (!this.complete && !this.loading && !this.peek(e.device_id))
			return;
		this.waiting.add(e.device_id);
		void this.work();
	}

	// Single ones while they are few; of a storm the list is read again.
	private async work(): Promise<void> {
		if (this.working)
			return;
		this.working = true;
		while (this.waiting.size > 0) {
			if (this.waiting.size > BURST) {
				this.waiting.clear();
				await this.readAll(true);
				continue;
			}
			const some = [...this.waiting].slice(0, 4);

			for (const id of some)
				this.waiting.delete(id);
			await Promise.all(some.map((id) => this.refresh(id)));
		}
		this.working = false;
	}

	onSession(s: Session, gone: boolean): void {
		const d = this.peek(s.device_id);

		if (!d)
			return;
		d.status = {
			...d.status,
			connected: !gone,
			protocol: gone ? null : s.protocol,
			transport: gone ? null : s.transport,
			cipher: gone ? null : s.cipher,
			tls_version: gone ? null : s.tls_version,
			endpoint: gone ? null : s.endpoint,
			connected_since: gone ? null : s.started_at,
			last_handshake_at: s.last_handshake_at ?? d.status.last_handshake_at,
		};
	}

	onMoved(id: string, rx: number, tx: number): void {
		const d = this.peek(id);

		if (!d)
			return;
		d.status.rx_bytes += rx;
		d.status.tx_bytes += tx;
	}

	override forget(): void {
		this.waiting.clear();
		super.forget();
	}
}

export const devices = new Devices('/v1/devices');
export const users = new Catalog<User>('/v1/users');

export type DeviceState = 'online' | 'offline' | 'new' | 'disabled' | 'expired';

export function usable(d: Device, now = Date.now()): boolean {
	return d.credentials.some((c) => !c.revoked_at && (!c.expires_at || Date.parse(c.expires_at) > now));
}

/** Why a device is as it is, in one word. */
export function stateOf(d: Device, online: boolean, now = Date.now()): DeviceState {
	if (online)
		return 'online';
	if (!d.enabled || users.peek(d.user_id)?.disabled)
		return 'disabled';
	if (d.expires_at && Date.parse(d.expires_at) <= now)
		return 'expired';
	return usable(d, now) ? 'offline' : 'new';
}
