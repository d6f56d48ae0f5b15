// How a device gets its profile: here and now, or by a link for somebody else. Both are shown once.
import type { ComponentChildren } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { sessionOfDevice, sessionsChanged } from '../live.ts';
import type { Issued, NewInvite, Protocol } from '../model.ts';
import { Attempt, post } from '../rest.ts';
import { useSource } from '../store.ts';
import { carrier, fullTime, PROTOCOLS } from '../units.ts';
import { CopyButton, QrImage } from './bits.tsx';
import { Choice, Input } from './form.tsx';

export type Way = 'profile' | 'invite';
export type Given = { way: 'profile'; issued: Issued } | { way: 'invite'; invite: NewInvite };

export interface Wish {
	protocol: Protocol;
	way: Way;
	/** A local date and time; empty: as the settings say. */
	expires: string;
}

function ProtocolChoice(p: { value: Protocol; onValue: (v: Protocol) => void }) {
	return (
		<Choice
			legend="Protocol"
			value={p.value}
			onValue={p.onValue}
			options={[
				{ value: 'wireguard', title: 'WireGuard', about: 'Fast and simple. The best choice where UDP works.' },
				{ value: 'openvpn', title: 'OpenVPN', about: 'Tries UDP, then TCP. For networks that let little through.' },
			]}
		/>
	);
}

function WayChoice(p: { value: Way; onValue: (v: Way) => void }) {
	return (
		<Choice
			legend="Hand it over"
			value={p.value}
			onValue={p.onValue}
			options={[
				{ value: 'profile', title: 'Show the profile here', about: 'Download, copy or scan it, once.' },
				{ value: 'invite', title: 'Make an invite link', about: 'Whoever opens it first gets the profile.' },
			]}
		/>
	);
}

/** ends: what the end of a profile is called. */
export function WishFields(p: {
	value: Wish;
	onValue: (w: Wish) => void;
	ends: string;
	min?: string;
	error: string | undefined;
}) {
	const { value: wish, onValue } = p;

	return (
		<>
			<ProtocolChoice value={wish.protocol} onValue={(protocol) => onValue({ ...wish, protocol })} />
			<WayChoice value={wish.way} onValue={(way) => onValue({ ...wish, way, expires: '' })} />
			<Input
				label={wish.way === 'profile' ? p.ends : 'Link ends (optional)'}
				type="datetime-local"
				value={wish.expires}
				min={p.min}
				onValue={(expires) => onValue({ ...wish, expires })}
				hint={
					wish.way === 'profile'
						? 'Left empty: as the settings say.'
						: 'Left empty: in 15 minutes. At most 7 days from now.'
				}
				error={p.error}
			/>
		</>
	);
}

/** Makes what was wished for. */
export async function give(deviceId: string, w: Wish, expiresAt: string | null, attempt: Attempt): Promise<Given> {
	const body = expiresAt ? { protocol: w.protocol, expires_at: expiresAt } : { protocol: w.protocol };
	const what = w.way === 'profile' ? 'credentials' : 'invites';
	const path = `/v1/devices/${deviceId}/${what}`;
	const made = await post<unknown>(path, body, attempt.keyFor([path, body]));

	return w.way === 'profile'
		? { way: 'profile', issued: made as Issued }
		: { way: 'invite', invite: made as NewInvite };
}

function DownloadButton(p: { issued: Issued; onSaved: () => void }) {
	const url = useMemo(
		() => URL.createObjectURL(new Blob([p.issued.profile], { type: 'application/octet-stream' })),
		[p.issued],
	);
	const link = useRef<HTMLAnchorElement>(null);

	useEffect(() => {
		link.current?.focus();
		return () => URL.revokeObjectURL(url);
	}, [url]);
	return (
		<a
			ref={link}
			class="button primary"
			href={url}
			download={p.issued.profile_filename}
			onClick={p.onSaved}
		>
			Download profile
		</a>
	);
}

const NEXT: Record<Protocol, ComponentChildren> = {
	wireguard: (
		<>
			Import the file into any WireGuard app, scan the code with the app on a phone, or run{' '}
			<code>wg-quick up</code> with it.
		</>
	),
	openvpn: (
		<>
			Import the file into any OpenVPN app, or run <code>openvpn --config</code> with it.
		</>
	),
};

export function ProfileOnce(p: { issued: Issued }) {
	const { issued } = p;
	const [saved, setSaved] = useState(false);

	// A tab that is closed too early takes the only copy with it.
	useEffect(() => {
		if (saved)
			return;
		const ask = (e: BeforeUnloadEvent) => e.preventDefault();

		addEventListener('beforeunload', ask);
		return () => removeEventListener('beforeunload', ask);
	}, [saved]);
	return (
		<div class="given">
			<p class="note warn">
				<strong>This profile is shown once.</strong> Take it now: it holds a private key that is stored
				nowhere else. When it is lost, issue a new one.
			</p>
			<div class="given-grid">
				<div class="given-take">
					<p>{NEXT[issued.protocol]}</p>
					<div class="row">
						<DownloadButton issued={issued} onSaved={() => setSaved(true)} />
						<CopyButton text={issued.profile} label="Copy profile" />
					</div>
					<p class="soft file-name">{issued.profile_filename}</p>
				</div>
				{issued.qr_svg ? (
					<QrImage svg={issued.qr_svg} label={`QR code of the ${PROTOCOLS[issued.protocol]} profile`} />
				) : (
					<p class="soft">The profile is too long for a QR code.</p>
				)}
			</div>
			<details>
				<summary>Show the text</summary>
				<pre tabIndex={0} aria-label="Profile">
					{issued.profile}
				</pre>
			</details>
			<Waiting deviceId={issued.device_id} />
		</div>
	);
}

export function InviteOnce(p: { invite: NewInvite }) {
	return (
		<div class="given">
			<p class="note warn">
				<strong>This link is shown once, and works once.</strong> Whoever opens it first gets the profile.
				It ends {fullTime(p.invite.expires_at)}.
			</p>
			<Input label="Invite link" value={p.invite.url} onValue={() => {}} readOnly autofocus />
			<div class="row">
				<CopyButton text={p.invite.url} label="Copy link" />
			</div>
			<Waiting deviceId={p.invite.device_id} />
		</div>
	);
}

export function GivenOnce(p: { given: Given }) {
	return p.given.way === 'profile' ? (
		<ProfileOnce issued={p.given.issued} />
	) : (
		<InviteOnce invite={p.given.invite} />
	);
}

/** Says when the device has come. */
function Waiting(p: { deviceId: string }) {
	useSource(sessionsChanged);
	const s = sessionOfDevice(p.deviceId);

	return (
		<p class={`waiting ${s ? 'there' : ''}`} role="status">
			<span class={s ? 'dot' : 'spinner'} aria-hidden="true" />
			{s ? `Connected: ${carrier(s)} from ${s.endpoint ?? 'somewhere'}.` : 'Waiting for the device to connect…'}
		</p>
	);
}
