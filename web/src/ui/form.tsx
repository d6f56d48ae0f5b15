// Fields, buttons, and what becomes of a form that is sent.
import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { asProblem, type Problem } from '../rest.ts';
import { ProblemNote } from './states.tsx';

interface FieldProps {
	label: string;
	hint?: ComponentChildren;
	error?: string | undefined;
	class?: string;
}

interface Wiring {
	id: string;
	'aria-describedby': string | undefined;
	'aria-invalid': boolean | undefined;
}

function Field(p: FieldProps & { control: (w: Wiring) => ComponentChildren }) {
	const id = useId();
	const notes = [p.hint ? `${id}-hint` : '', p.error ? `${id}-error` : ''].filter(Boolean).join(' ');

	return (
		<div class={`field ${p.class ?? ''}`}>
			<label for={id}>{p.label}</label>
			{p.control({
				id,
				'aria-describedby': notes || undefined,
				'aria-invalid': p.error ? true : undefined,
			})}
			{p.hint && (
				<p class="hint" id={`${id}-hint`}>
					{p.hint}
				</p>
			)}
			{p.error && (
				<p class="field-error" id={`${id}-error`}>
					{p.label} {p.error}.
				</p>
			)}
		</div>
	);
}

type InputAttributes = Omit<JSX.InputHTMLAttributes<HTMLInputElement>, 'label' | 'onInput' | 'value' | 'list'>;

export function Input(
	p: FieldProps & InputAttributes & { value: string; onValue: (v: string) => void; options?: string[] },
) {
	const { label, hint, error, class: css, value, onValue, options, ...rest } = p;
	const listId = useId();

	return (
		<Field
			label={label}
			hint={hint}
			error={error}
			class={css ?? ''}
			control={(w) => (
				<>
					<input
						{...w}
						type="text"
						autocomplete="off"
						spellcheck={false}
						{...(rest as object)}
						list={options ? listId : undefined}
						value={value}
						onInput={(e) => onValue(e.currentTarget.value)}
					/>
					{options && (
						<datalist id={listId}>
							{options.map((o) => (
								<option key={o} value={o} />
							))}
						</datalist>
					)}
				</>
			)}
		/>
	);
}

type InputProps = Parameters<typeof Input>[0];

/** What an authenticator app shows; the API takes its digits (codeOf). */
export function CodeInput(p: Omit<InputProps, 'label'>) {
	return (
		<Input
			label="Authenticator code"
			inputMode="numeric"
			autocomplete="one-time-code"
			maxLength={7}
			required
			{...p}
		/>
	);
}

export const codeOf = (text: string) => text.replace(/\s/g, '');

export function Select(
	p: FieldProps & { value: string; onValue: (v: string) => void; options: [string, string][]; disabled?: boolean },
) {
	return (
		<Field
			label={p.label}
			hint={p.hint}
			error={p.error}
			class={p.class ?? ''}
			control={(w) => (
				<select {...w} value={p.value} disabled={p.disabled} onChange={(e) => p.onValue(e.currentTarget.value)}>
					{p.options.map(([value, text]) => (
						<option key={value} value={value}>
							{text}
						</option>
					))}
				</select>
			)}
		/>
	);
}

export function Check(p: { label: string; hint?: string; value: boolean; onValue: (v: boolean) => void }) {
	const id = useId();

	return (
		<div class="check">
			<input
				id={id}
				type="checkbox"
				checked={p.value}
				aria-describedby={p.hint ? `${id}-hint` : undefined}
				onChange={(e) => p.onValue(e.currentTarget.checked)}
			/>
			<label for={id}>{p.label}</label>
			{p.hint && (
				<p class="hint" id={`${id}-hint`}>
					{p.hint}
				</p>
			)}
		</div>
	);
}

/** Cards to choose one of. */
export function Choice<T extends string>(p: {
	legend: string;
	value: T;
	onValue: (v: T) => void;
	options: { value: T; title: string; about: string }[];
}) {
	const name = useId();

	return (
		<fieldset class="choice">
			<legend>{p.legend}</legend>
			{p.options.map((o) => (
				<label key={o.value} class="choice-card">
					<input
						type="radio"
						name={name}
						value={o.value}
						checked={p.value === o.value}
						onChange={() => p.onValue(o.value)}
					/>
					<span>
						<strong>{o.title}</strong>
						<span class="hint">{o.about}</span>
					</span>
				</label>
			))}
		</fieldset>
	);
}

interface ButtonProps {
	children: ComponentChildren;
	onClick?: () => void;
	kind?: 'primary' | 'plain' | 'danger' | 'quiet';
	type?: 'button' | 'submit';
	busy?: boolean;
	disabled?: boolean;
	label?: string;
	pressed?: boolean;
}

export function Button(p: ButtonProps) {
	return (
		<button
			type={p.type ?? 'button'}
			class={`button ${p.kind ?? 'plain'}`}
			onClick={p.busy ? undefined : p.onClick}
			disabled={p.disabled}
			aria-label={p.label}
			aria-busy={p.busy}
			aria-pressed={p.pressed}
		>
			{p.children}
		</button>
	);
}

export function LinkButton(p: { href: string; kind?: 'primary' | 'plain'; children: ComponentChildren; download?: boolean }) {
	return (
		<a class={`button ${p.kind ?? 'plain'}`} href={p.href} download={p.download}>
			{p.children}
		</a>
	);
}

export interface Sending {
	busy: boolean;
	problem: Problem | null;
	run: (fn: () => Promise<void>) => Promise<void>;
	clear: () => void;
}

/** One thing at a time; what goes wrong is kept until the next try. */
export function useSending(): Sending {
	const [busy, setBusy] = useState(false);
	const [problem, setProblem] = useState<Problem | null>(null);
	const going = useRef(false);
	const there = useRef(true);

	useEffect(() => () => void (there.current = false), []);
	return {
		busy,
		problem,
		clear: () => setProblem(null),
		run: async (fn) => {
			if (going.current)
				return;
			going.current = true;
			setBusy(true);
			setProblem(null);
			try {
				await fn();
			} catch (e) {
				if (there.current)
					setProblem(asProblem(e));
			}
			going.current = false;
			if (there.current)
				setBusy(false);
		},
	};
}

/** A form with its problem above the buttons; the first field that is wrong gets the focus. */
export function Form(p: {
	sending: Sending;
	onSend: () => Promise<void>;
	fields: ComponentChildren;
	children: ComponentChildren;
	known?: string[];
	label?: string;
}) {
	const form = useRef<HTMLFormElement>(null);
	const { problem } = p.sending;

	useEffect(() => {
		if (problem)
			form.current?.querySelector<HTMLElement>('[aria-invalid=true]')?.focus();
	}, [problem]);
	return (
		<form
			ref={form}
			class="form"
			aria-label={p.label}
			onSubmit={(e) => {
				e.preventDefault();
				void p.sending.run(p.onSend);
			}}
		>
			{p.fields}
			{problem && <ProblemNote problem={problem} shown={p.known ?? []} />}
			<div class="form-buttons">{p.children}</div>
		</form>
	);
}
