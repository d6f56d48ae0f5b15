// What stands around every page: the door, the navigation, whether the server is there.
import type { ComponentChildren, VNode } from 'preact';
import { useEffect } from 'preact/hooks';
import { readStatus, startLive } from './live.ts';
import { findLogin, login, readsAll, signOut, writes } from './login.ts';
import type { Role } from './model.ts';
import { get } from './rest.ts';
import { match, place, scrollWanted } from './router.ts';
import { useStore } from './store.ts';
import { link, versions } from './stream.ts';
import { AddDevice } from './pages/adddevice.tsx';
import { Audit } from './pages/audit.tsx';
import { Device } from './pages/device.tsx';
import { Devices } from './pages/devices.tsx';
import { Overview } from './pages/overview.tsx';
import { Settings } from './pages/settings.tsx';
import { SignIn } from './pages/signin.tsx';
import { Tokens } from './pages/tokens.tsx';
import { User } from './pages/user.tsx';
import { Users } from './pages/users.tsx';
import { Button, useSending } from './ui/form.tsx';
import { Icon, Logo, type IconName } from './ui/icons.tsx';
import { Empty, Failed, Loading, NotAllowed } from './ui/states.tsx';
import { Toasts, say } from './ui/toast.tsx';

interface Route {
	pattern: string;
	title: string;
	draw: (parts: Record<string, string>) => VNode;
	may?: (role: Role) => boolean;
}

const ROUTES: Route[] = [
	{ pattern: '', title: 'Overview', draw: () => <Overview /> },
	{ pattern: 'devices', title: 'Devices', draw: () => <Devices /> },
	{ pattern: 'devices/new', title: 'Add a device', draw: () => <AddDevice />, may: writes },
	{ pattern: 'devices/:id', title: 'Device', draw: (p) => <Device id={p.id ?? ''} /> },
	{ pattern: 'users', title: 'Users', draw: () => <Users />, may: readsAll },
	{ pattern: 'users/:id', title: 'User', draw: (p) => <User id={p.id ?? ''} /> },
	{ pattern: 'audit', title: 'Audit log', draw: () => <Audit />, may: readsAll },
	{ pattern: 'tokens', title: 'Tokens', draw: () => <Tokens /> },
	{ pattern: 'settings', title: 'Settings', draw: () => <Settings /> },
];

const NAV: { to: string; title: string; icon: IconName; may?: (role: Role) => boolean }[] = [
	{ to: '', title: 'Overview', icon: 'overview' },
	{ to: 'devices', title: 'Devices', icon: 'devices' },
	{ to: 'users', title: 'Users', icon: 'users', may: readsAll },
	{ to: 'audit', title: 'Audit', icon: 'audit', may: readsAll },
	{ to: 'tokens', title: 'Tokens', icon: 'tokens' },
	{ to: 'settings', title: 'Settings', icon: 'settings' },
];

function findRoute(path: string): { route: Route; parts: Record<string, string> } | null {
	for (const route of ROUTES) {
		const parts = match(route.pattern, path);

		if (parts)
			return { route, parts };
	}
	return null;
}

function Nav(p: { path: string; role: Role }) {
	const here = p.path.split('/')[0] ?? '';

	return (
		<nav class="nav" aria-label="Main">
			<ul>
				{NAV.filter((n) => !n.may || n.may(p.role)).map((n) => (
					<li key={n.to}>
						<a href={`#/${n.to}`} aria-current={n.to === here ? 'page' : undefined}>
							<Icon name={n.icon} />
							<span>{n.title}</span>
						</a>
					</li>
				))}
			</ul>
		</nav>
	);
}

function Account(p: { name: string; role: Role }) {
	const sending = useSending();

	return (
		<div class="account">
			<span class="account-name" title={`${p.name}, ${p.role}`}>
				<strong>{p.name}</strong>
				<span class="soft">{p.role}</span>
			</span>
			<Button
				kind="quiet"
				busy={sending.busy}
				onClick={() => void sending.run(() => signOut().catch((e: Error) => say(e.message)))}
			>
				Sign out
			</Button>
		</div>
	);
}

const LINK_WORDS = { connecting: 'Connecting', live: 'Live', lost: 'Not connected' };

function LinkState() {
	const state = useStore(link);

	return (
		<p class={`link ${state}`} role="status">
			<span class="dot" aria-hidden="true" />
			{LINK_WORDS[state]}
		</p>
	);
}

function Banners() {
	const state = useStore(link);
	const version = useStore(versions);

	return (
		<div aria-live="polite">
			{state === 'lost' && (
				<p class="banner bad">
					<strong>Not connected.</strong> What you see may be old. Trying again…
				</p>
			)}
			{version && version.first !== version.now && (
				<p class="banner">
					The service is now version {version.now}.{' '}
					<Button kind="quiet" onClick={() => location.reload()}>
						Reload this page
					</Button>
				</p>
			)}
		</div>
	);
}

/** Every page says its name and takes the focus, as a page from a server does. */
function usePageChange(path: string, title: string): void {
	useEffect(() => {
		const first = document.querySelector<HTMLElement>('main [autofocus]') ?? document.querySelector<HTMLElement>('main h1');

		document.title = `${title} · Ireko`;
		first?.focus({ preventScroll: true });
		scrollTo(0, scrollWanted);
	}, [path]);
}

// A login ends after half an hour without a request, and an open stream is none: whoever looks at
// the page is there.
const STAY_MS = 10 * 60 * 1000;

function useStaySignedIn(role: Role): void {
	useEffect(() => {
		const ask = () => {
			if (document.visibilityState !== 'visible')
				return;
			void (readsAll(role) ? readStatus() : get('/v1/me').catch(() => {}));
		};
		const timer = setInterval(ask, STAY_MS);

		document.addEventListener('visibilitychange', ask);
		return () => {
			clearInterval(timer);
			document.removeEventListener('visibilitychange', ask);
		};
	}, [role]);
}

function PageOf(p: { path: string; role: Role }): VNode {
	const found = findRoute(p.path);

	if (!found)
		return (
			<Empty
				page
				title="There is no such page"
				action={
					<a class="button plain" href="#/">
						Back to the overview
					</a>
				}
			/>
		);
	if (found.route.may && !found.route.may(p.role))
		return <NotAllowed what="this page" />;
	return found.route.draw(found.parts);
}

function Inside(p: { id: string; name: string; role: Role }) {
	const { path } = useStore(place);

	useEffect(startLive, [p.id, p.role]);
	useStaySignedIn(p.role);
	usePageChange(path, findRoute(path)?.route.title ?? 'Not found');
	return (
		<Shell
			head={
				<>
					<Nav path={path} role={p.role} />
					<div class="side-foot">
						<LinkState />
						<Account name={p.name} role={p.role} />
					</div>
				</>
			}
		>
			<Banners />
			<main id="main">
				<PageOf key={path} path={path} role={p.role} />
			</main>
		</Shell>
	);
}

function Shell(p: { head: ComponentChildren; children: ComponentChildren }) {
	return (
		<div class="shell">
			<button
				type="button"
				class="skip"
				onClick={() => document.querySelector<HTMLElement>('main h1')?.focus()}
			>
				Skip to content
			</button>
			<header class="side">
				<a class="brand" href="#/">
					<Logo /> Ireko
				</a>
				{p.head}
			</header>
			<div class="content">{p.children}</div>
		</div>
	);
}

export function App() {
	const now = useStore(login);

	useEffect(() => void findLogin(), []);
	return (
		<>
			{now.state === 'unknown' && (
				<main class="door" id="main">
					<Loading />
				</main>
			)}
			{now.state === 'unreachable' && (
				<main class="door" id="main">
					<Failed page problem={now.problem} again={() => void findLogin()} />
				</main>
			)}
			{now.state === 'out' && <SignIn ended={now.ended} />}
			{now.state === 'in' && <Inside id={now.user.id} name={now.user.name} role={now.role} />}
			<Toasts />
		</>
	);
}
