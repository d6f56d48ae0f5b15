#include "api/cli/command.h"

#include "api/cli/nouns.h"
#include "base/compiler.h"

#define O(id) OPTION_BIT(id)
enum { ANY = OPERANDS_MAX };

/* clang-format off */
const struct command commands[] = {
	{"login", "", 0, 0, O(USER), "log in and store a token",
		"ireko login --user alice", false, run_login},
	{"logout", "", 0, 0, 0, "take the stored token back",
		"ireko logout", true, run_logout},
	{"status", "", 0, 0, 0, "how the service is",
		"ireko status", true, run_status},
	{"top", "", 0, 0, O(COUNT), "live table of tunnels and their traffic",
		"ireko top", true, run_top},
	{"events", "", 0, 0, O(TYPES) | O(COUNT), "what happens, as it happens",
		"ireko events --types session.started,session.ended", true, run_events},

	{"user list", "", 0, 0, 0, "all users",
		"ireko user list", true, run_user_list},
	{"user add", "NAME", 1, 1, O(ROLE) | O(EMAIL) | O(DISPLAY_NAME) | O(PASSWORD), "make a user",
		"ireko user add alice --role operator --password", true, run_user_add},
	{"user show", "USER", 1, 1, 0, "one user and what he has",
		"ireko user show alice", true, run_user_show},
	{"user disable", "USER", 1, 1, O(YES), "end his tunnels and keep him out",
		"ireko user disable alice", true, run_user_disable},
	{"user enable", "USER", 1, 1, 0, "let him in again",
		"ireko user enable alice", true, run_user_enable},
	{"user rm", "USER", 1, 1, O(YES), "delete him with his devices and tokens",
		"ireko user rm alice --yes", true, run_user_rm},

	{"device list", "", 0, 0, O(USER), "all devices",
		"ireko device list --user alice", true, run_device_list},
	{"device add", "NAME", 1, 1, O(USER) | O(PROTOCOL) | O(OUTPUT) | O(QR) | O(EXPIRES) | O(ADDRESS4) | O(ADDRESS6),
		"make a device and its profile",
		"ireko device add laptop --user alice --protocol openvpn", true, run_device_add},
	{"device show", "DEVICE", 1, 1, 0, "one device, its credentials and its tunnel",
		"ireko device show alice/laptop", true, run_device_show},
	{"device disable", "DEVICE", 1, 1, O(YES), "end its tunnel and keep it out",
		"ireko device disable alice/laptop", true, run_device_disable},
	{"device enable", "DEVICE", 1, 1, 0, "let it in again",
		"ireko device enable alice/laptop", true, run_device_enable},
	{"device rm", "DEVICE", 1, 1, O(YES), "delete it with its credentials",
		"ireko device rm alice/laptop --yes", true, run_device_rm},

	{"credential issue", "DEVICE", 1, 1, O(PROTOCOL) | O(OUTPUT) | O(QR) | O(CSR) | O(PUBLIC_KEY) | O(EXPIRES),
		"one more credential, and its profile",
		"ireko credential issue alice/phone --qr", true, run_credential_issue},
	{"credential revoke", "CREDENTIAL|DEVICE", 1, 1, O(YES), "end it for good",
		"ireko credential revoke crd_01ARZ3NDEKTSV4RRFFQ69G5FAV", true, run_credential_revoke},
	{"invite", "DEVICE", 1, 1, O(PROTOCOL) | O(EXPIRES) | O(QR), "a link that issues a credential, once",
		"ireko invite alice/phone --expires 1h", true, run_invite},

	{"session list", "", 0, 0, 0, "tunnels that are up",
		"ireko session list", true, run_session_list},
	{"session kill", "SESSION|DEVICE", 1, 1, O(YES), "end a tunnel; its device may come again",
		"ireko session kill alice/laptop", true, run_session_kill},
	{"traffic", "[DEVICE]", 0, 1, O(USER) | O(FROM) | O(TO) | O(STEP), "bytes over time",
		"ireko traffic alice/laptop --from 24h --step 3600", true, run_traffic},

	{"token list", "", 0, 0, 0, "API tokens, without their text",
		"ireko token list", true, run_token_list},
	{"token add", "NAME", 1, 1, O(ROLE) | O(EXPIRES) | O(OUTPUT), "make a token; its text goes into a file",
		"ireko token add backup-job --role admin --expires 90d --output backup.token", true, run_token_add},
	{"token rm", "TOKEN", 1, 1, O(YES), "delete a token",
		"ireko token rm backup-job", true, run_token_rm},

	{"audit", "", 0, 0, O(USER) | O(ACTION) | O(OBJECT) | O(COUNT), "who did what, newest first",
		"ireko audit --user alice --count 20", true, run_audit_list},
	{"audit list", "", 0, 0, O(USER) | O(ACTION) | O(OBJECT) | O(COUNT), "the same",
		"ireko audit list --action user.create", true, run_audit_list},
	{"audit verify", "", 0, 0, 0, "whether nobody has changed the log",
		"ireko audit verify", true, run_audit_verify},
	{"settings show", "", 0, 0, 0, "settings that hold without a restart",
		"ireko settings show", true, run_settings_show},
	{"settings set", "NAME=VALUE...", 1, ANY, 0, "change them; NAME= takes the default again",
		"ireko settings set dns=9.9.9.9,149.112.112.112 mtu=1380", true, run_settings_set},
	{"backup", "[FILE]", 0, 1, 0, "download the database while it is in use",
		"ireko backup ireko.db", true, run_backup},
	{"completion", "bash|zsh", 1, 1, 0, "print what a shell completes these commands with",
		"ireko completion bash > /etc/bash_completion.d/ireko", false, run_completion},
};
/* clang-format on */
const size_t n_commands = ARRAY_SIZE(commands);
