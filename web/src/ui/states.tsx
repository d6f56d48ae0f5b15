// What is shown instead of content: that it comes, that there is none, that it may not be seen, that
// it went wrong.
import type { ComponentChildren } from 'preact';
import type { Problem } from '../rest.ts';
import { Button } from './form.tsx';

export function Loading(p: { what?: string }) {
	return (
		<div class="state" role="status">
			<span class="spinner" aria-hidden="true" />
			<p>Loading{p.what ? ` ${p.what}` : ''}…</p>
		</div>
	);
}

/** The name of a whole page, or of a part of one. */
function Heading(p: { page: boolean | undefined; children: string }) {
	return p.page ? <h1 tabIndex={-1}>{p.children}</h1> : <h2>{p.children}</h2>;
}

export function Empty(p: { title: string; page?: boolean; children?: ComponentChildren; action?: ComponentChildren }) {
	return (
		<div class="state">
			<Heading page={p.page}>{p.title}</Heading>
			{p.children && <p>{p.children}</p>}
			{p.action}
		</div>
	);
}

/** The API's words. Fields that are shown beside their inputs are not said again. */
export function ProblemNote(p: { problem: Problem; shown?: string[] }) {
	const rest = p.problem.fields.filter((f) => !p.shown?.includes(f.field));
	// What is said of a field is no sentence by itself.
	const said = p.problem.fields.some((f) => f.message === p.problem.detail);
	const detail = said ? 'Look at the fields that are marked.' : p.problem.detail;

	return (
		<div class="note bad" role="alert">
			<strong>{p.problem.title}.</strong> {detail}
			{p.problem.retryAfter > 0 && <> Try again in {p.problem.retryAfter} s.</>}
			{rest.length > 0 && (
				<ul>
					{rest.map((f) => (
						<li key={f.field}>
							{f.field} {f.message}
						</li>
					))}
				</ul>
			)}
		</div>
	);
}

const WORDS: Record<number, string> = {
	0: 'Not connected',
	403: 'You may not see this',
	404: 'There is no such thing',
};

/** A whole page, or part of one, that can't be shown. */
export function Failed(p: { problem: Problem; page?: boolean; again?: () => void; back?: ComponentChildren }) {
	return (
		<div class="state" role="alert">
			<Heading page={p.page}>{WORDS[p.problem.status] ?? p.problem.title}</Heading>
			<p>{p.problem.detail || p.problem.title}</p>
			<div class="row">
				{p.again && p.problem.status !== 404 && <Button onClick={p.again}>Try again</Button>}
				{p.back}
			</div>
		</div>
	);
}

export function NotAllowed(p: { what: string }) {
	return (
		<div class="state">
			<h1 tabIndex={-1}>You may not see this</h1>
			<p>Your role does not let you see {p.what}. Ask an administrator if you need to.</p>
			<a class="button plain" href="#/">
				Back to the overview
			</a>
		</div>
	);
}
