// Who a user is, as fields of a form: when one is added, and when one is changed.
import { rolesUpTo } from '../login.ts';
import type { Role } from '../model.ts';
import { Input, Select, type Sending } from './form.tsx';

const ABOUT: Record<Role, string> = {
	user: 'User: own devices only',
	auditor: 'Auditor: sees all, changes nothing',
	operator: 'Operator: users and devices',
	admin: 'Admin: everything',
};

export const roleOptions = (role: Role): [string, string][] => rolesUpTo(role).map((r) => [r, ABOUT[r]]);

export interface UserTexts {
	name: string;
	display: string;
	email: string;
	role: string;
	password: string;
}

/** What the API calls them. */
export const USER_FIELDS = ['name', 'display_name', 'email', 'role', 'password'];

/** roles: none, no such field. password: what its field is called. */
export function UserFields(p: {
	value: UserTexts;
	onChange: (part: Partial<UserTexts>) => void;
	sending: Sending;
	roles: [string, string][];
	nameHint?: string;
	password: string;
	passwordHint: string;
}) {
	const { value, onChange } = p;
	const { problem } = p.sending;

	return (
		<>
			<Input
				label="User name"
				value={value.name}
				onValue={(name) => onChange({ name })}
				maxLength={64}
				required
				autofocus
				autocapitalize="off"
				hint={p.nameHint}
				error={problem?.of('name')}
			/>
			<Input
				label="Display name (optional)"
				value={value.display}
				onValue={(display) => onChange({ display })}
				maxLength={128}
				error={problem?.of('display_name')}
			/>
			<Input
				label="Email (optional)"
				type="email"
				value={value.email}
				onValue={(email) => onChange({ email })}
				error={problem?.of('email')}
			/>
			{p.roles.length > 0 && (
				<Select
					label="Role"
					value={value.role}
					onValue={(role) => onChange({ role })}
					options={p.roles}
					error={problem?.of('role')}
				/>
			)}
			<Input
				label={p.password}
				type="password"
				value={value.password}
				onValue={(password) => onChange({ password })}
				autocomplete="new-password"
				maxLength={256}
				hint={p.passwordHint}
				error={problem?.of('password')}
			/>
		</>
	);
}
