// Small things that many pages show.
import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { devices, users, type DeviceState } from '../catalog.ts';
import type { Protocol, User } from '../model.ts';
import { Source, useSource } from '../store.ts';
import { fullTime, relative, shortTime } from '../units.ts';
import { Button } from './form.tsx';

const minute = new Source();
setInterval(() => minute.changed(), 15000);

/** A time as its distance from now, the whole of it when pointed at. */
export function Ago(p: { at: string | null; none?: string }) {
	useSource(minute);
	if (!p.at)
		return <span class="soft">{p.none ?? 'never'}</span>;
	return (
		<time dateTime={p.at} title={fullTime(p.at)}>
			{relative(p.at)}
		</time>
	);
}

export function When(p: { at: string | null; none?: string }) {
	if (!p.at)
		return <span class="soft">{p.none ?? 'never'}</span>;
	return (
		<time dateTime={p.at} title={fullTime(p.at)}>
			{shortTime(p.at)}
		</time>
	);
}

const STATES: Record<DeviceState, string> = {
	online: 'Online',
	offline: 'Offline',
	new: 'Not set up',
	disabled: 'Disabled',
	expired: 'Expired',
};

export const stateWord = (s: DeviceState) => STATES[s];

export function Badge(p: { state: DeviceState; children: ComponentChildren }) {
	return (
		<span class={`badge state-${p.state}`}>
			<span class="dot" aria-hidden="true" />
			{p.children}
		</span>
	);
}

export function StateBadge(p: { state: DeviceState }) {
	return <Badge state={p.state}>{STATES[p.state]}</Badge>;
}

export function AccountBadge(p: { user: User }) {
	return <Badge state={p.user.disabled ? 'disabled' : 'online'}>{p.user.disabled ? 'Disabled' : 'Active'}</Badge>;
}

export function ProtocolTag(p: { protocol: Protocol | null; text: string }) {
	return <span class={`tag ${p.protocol ?? ''}`}>{p.text}</span>;
}

export function UserName(p: { id: string; link?: boolean }) {
	useSource(users);
	const user = users.want(p.id);

	if (p.link && !users.problemOf(p.id))
		return (
			<a class="name" href={`#/users/${p.id}`}>
				{user?.name ?? '…'}
			</a>
		);
	return <span class="name">{user?.name ?? (users.problemOf(p.id) ? 'deleted user' : '…')}</span>;
}

export function DeviceName(p: { id: string; before?: string | undefined }) {
	useSource(devices);
	const device = devices.want(p.id);

	if (!device && devices.problemOf(p.id))
		return <span class="name soft">{p.before ?? 'deleted device'}</span>;
	return (
		<a class="name" href={`#/devices/${p.id}`}>
			{device?.name ?? '…'}
		</a>
	);
}

export function Panel(p: { title: string; action?: ComponentChildren; children: ComponentChildren; class?: string }) {
	return (
		<section class={`panel ${p.class ?? ''}`}>
			<header>
				<h2>{p.title}</h2>
				{p.action}
			</header>
			{p.children}
		</section>
	);
}

/** Names and values, as pairs of a list. */
export function Facts(p: { of: [string, ComponentChildren][] }) {
	return (
		<dl class="facts">
			{p.of.map(([name, value]) => (
				<div key={name}>
					<dt>{name}</dt>
					<dd>{value}</dd>
				</div>
			))}
		</dl>
	);
}

// The clipboard's own interface is only there over HTTPS and on this machine.
async function copyText(text: string, near: HTMLElement): Promise<boolean> {
	if (navigator.clipboard) {
		try {
			await navigator.clipboard.writeText(text);
			return true;
		} catch {
			// not allowed: the other way
		}
	}
	const area = document.createElement('textarea');
	area.value = text;
	area.className = 'off-screen';
	near.append(area);
	area.select();
	const done = document.execCommand('copy');
	area.remove();
	return done;
}

export function CopyButton(p: { text: string; label: string }) {
	const [said, setSaid] = useState('');
	const box = useRef<HTMLSpanElement>(null);
	const timer = useRef(0);

	useEffect(() => () => clearTimeout(timer.current), []);
	const copy = async () => {
		const done = box.current && (await copyText(p.text, box.current));

		setSaid(done ? 'Copied' : 'Copy it by hand');
		clearTimeout(timer.current);
		timer.current = window.setTimeout(() => setSaid(''), 3000);
	};

	return (
		<span ref={box} class="copy">
			<Button onClick={() => void copy()}>{p.label}</Button>
			<span role="status">{said}</span>
		</span>
	);
}

/** An SVG from the API, as an image: nothing in it can run. */
export function QrImage(p: { svg: string; label: string }) {
	return <img class="qr" alt={p.label} src={`data:image/svg+xml;base64,${btoa(p.svg)}`} />;
}
