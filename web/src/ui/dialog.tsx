// Modal dialogs, by the browser's own element: it keeps the focus inside and gives it back.
import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { Button, Form, Input, useSending, type Sending } from './form.tsx';

export function Dialog(p: { title: string; onClose: () => void; children: ComponentChildren; wide?: boolean }) {
	const ref = useRef<HTMLDialogElement>(null);
	const id = useId();

	useEffect(() => {
		const dialog = ref.current;
		const before = document.activeElement;

		if (dialog && !dialog.open)
			dialog.showModal();
		return () => {
			dialog?.close();
			if (before instanceof HTMLElement && before.isConnected)
				before.focus();
		};
	}, []);
	return (
		<dialog
			ref={ref}
			class={p.wide ? 'wide' : ''}
			aria-labelledby={id}
			onCancel={(e) => {
				e.preventDefault();
				p.onClose();
			}}
		>
			<h2 id={id}>{p.title}</h2>
			{p.children}
		</dialog>
	);
}

/** A form that is sent or left. */
export function FormDialog(p: {
	title: string;
	verb: string;
	sending: Sending;
	known: string[];
	fields: ComponentChildren;
	onSend: () => Promise<void>;
	onClose: () => void;
	wide?: boolean;
}) {
	return (
		<Dialog title={p.title} onClose={p.onClose} wide={p.wide ?? false}>
			<Form sending={p.sending} onSend={p.onSend} known={p.known} fields={p.fields}>
				<Button onClick={p.onClose}>Cancel</Button>
				<Button type="submit" kind="primary" busy={p.sending.busy}>
					{p.verb}
				</Button>
			</Form>
		</Dialog>
	);
}

/** For what can't be undone: the name must be typed. */
export function ConfirmByName(p: {
	title: string;
	name: string;
	verb: string;
	children: ComponentChildren;
	onConfirm: () => Promise<void>;
	onClose: () => void;
}) {
	const [typed, setTyped] = useState('');
	const sending = useSending();

	return (
		<Dialog title={p.title} onClose={p.onClose}>
			<div class="prose">{p.children}</div>
			<Form
				sending={sending}
				onSend={async () => {
					if (typed.trim() !== p.name.trim())
						return;
					await p.onConfirm();
					p.onClose();
				}}
				fields={
					<>
						<p class="confirm-name" id="confirm-name">
							Type <code>{p.name}</code> to confirm.
						</p>
						<Input
							label="Name"
							value={typed}
							onValue={setTyped}
							autofocus
							autocapitalize="off"
						/>
					</>
				}
			>
				<Button onClick={p.onClose}>Cancel</Button>
				<Button
					type="submit"
					kind="danger"
					busy={sending.busy}
					disabled={typed.trim() !== p.name.trim()}
				>
					{p.verb}
				</Button>
			</Form>
		</Dialog>
	);
}
