// The door: name and password, and a code when the account has a second factor.
import { useRef, useState } from 'preact/hooks';
import { signIn } from '../login.ts';
import { asProblem, TOTP_REQUIRED } from '../rest.ts';
import { Button, CodeInput, codeOf, Form, Input, useSending } from '../ui/form.tsx';
import { Logo } from '../ui/icons.tsx';

export function SignIn(p: { ended: boolean }) {
	const [name, setName] = useState('');
	const [password, setPassword] = useState('');
	const [code, setCode] = useState('');
	const [second, setSecond] = useState(false);
	const sending = useSending();
	const codeBox = useRef<HTMLDivElement>(null);

	const send = async () => {
		try {
			await signIn(name.trim(), password, second ? codeOf(code) : undefined);
		} catch (e) {
			if (asProblem(e).type !== TOTP_REQUIRED || second)
				throw e;
			setSecond(true);
			setTimeout(() => codeBox.current?.querySelector('input')?.focus());
		}
	};

	return (
		<main class="door" id="main">
			<div class="door-box">
				<p class="brand">
					<Logo /> Ireko
				</p>
				<h1>Sign in</h1>
				{p.ended && (
					<p class="note" role="status">
						Your sign-in has ended. Sign in again to go on where you were.
					</p>
				)}
				<Form
					sending={sending}
					onSend={send}
					known={['username', 'password', 'totp']}
					fields={
						<>
							<Input
								label="User name"
								value={name}
								onValue={setName}
								autocomplete="username"
								autocapitalize="off"
								maxLength={64}
								required
								autofocus
								error={sending.problem?.of('username')}
							/>
							<Input
								label="Password"
								type="password"
								value={password}
								onValue={setPassword}
								autocomplete="current-password"
								maxLength={256}
								required
								error={sending.problem?.of('password')}
							/>
							{second && (
								<div ref={codeBox}>
									<CodeInput
										value={code}
										onValue={setCode}
										hint="Six digits, from the app that you set up."
										error={sending.problem?.of('totp')}
									/>
								</div>
							)}
						</>
					}
				>
					<Button type="submit" kind="primary" busy={sending.busy}>
						Sign in
					</Button>
				</Form>
			</div>
		</main>
	);
}
