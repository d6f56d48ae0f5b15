/*
 * Subcommands and options as tables. Help, completion and the parser are made of them, so a row is
 * all that a new command takes besides its function.
 */
#ifndef API_CLI_COMMAND_H
#define API_CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/cli/rest.h"

/* What scripts may rely on. */
enum exit_code {
	EXIT_FINE = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,	      /* the command line is wrong; nothing was asked */
	EXIT_NOT_FOUND = 3,   /* there is no such object */
	EXIT_NOT_ALLOWED = 4, /* no token, not a valid one, or not the role */
	EXIT_UNREACHABLE = 5, /* no answer from the API */
};

/* What an option's value is: how it is checked, and what completion offers. */
enum value_kind {
	VALUE_NONE, /* a switch */
	VALUE_TEXT,
	VALUE_FILE,
	VALUE_NUMBER,
	VALUE_TIME, /* RFC 3339, or a span: 90s, 15m, 12h, 30d */
	VALUE_PROTOCOL,
	VALUE_ROLE,
};

/* X(id, letter, kind, name, value, meaning) */
#define OPTIONS(X)                                                                                 \
	X(USER, 'u', TEXT, "user", "USER", "whose: a name or an id")                               \
	X(PROTOCOL, 'p', PROTOCOL, "protocol", "PROTOCOL", "wireguard (default) or openvpn")       \
	X(OUTPUT, 'o', FILE, "output", "FILE", "where the profile goes, - for stdout")             \
	X(QR, 0, NONE, "qr", "", "draw it as a QR code instead of writing a file")                 \
	X(CSR, 0, FILE, "csr", "FILE", "certificate request in PEM: the key stays with you")       \
	X(PUBLIC_KEY, 0, TEXT, "public-key", "KEY", "WireGuard public key: the same")              \
	X(EXPIRES, 0, TIME, "expires", "TIME", "when it ends: 2026-12-31T00:00:00Z, or 30d")       \
	X(ROLE, 0, ROLE, "role", "ROLE", "user, auditor, operator or admin")                       \
	X(EMAIL, 0, TEXT, "email", "ADDRESS", "e-mail address")                                    \
	X(DISPLAY_NAME, 0, TEXT, "display-name", "TEXT", "name for people")                        \
	X(PASSWORD, 0, NONE, "password", "", "ask for a password (a line of stdin in scripts)")    \
	X(ADDRESS4, 0, TEXT, "address4", "ADDRESS", "tunnel address, else the next free one")      \
	X(ADDRESS6, 0, TEXT, "address6", "ADDRESS", "the same for IPv6")                           \
	X(TYPES, 0, TEXT, "types", "LIST", "only these: session.started,device.changed,...")       \
	X(FROM, 0, TIME, "from", "TIME", "since then, or a span ago: 24h")                         \
	X(TO, 0, TIME, "to", "TIME", "until then")                                                 \
	X(STEP, 0, NUMBER, "step", "SECONDS", "1, 60, 3600 or 86400")                              \
	X(ACTION, 0, TEXT, "action", "ACTION", "only this: user.create, backup.restore, ...")      \
	X(OBJECT, 0, TEXT, "object", "ID", "only about this one")                                  \
	X(COUNT, 'n', NUMBER, "count", "N", "end after so many")                                   \
	X(YES, 'y', NONE, "yes", "", "do not ask")                                                 \
	X(JSON, 'j', NONE, "json", "", "the API's own JSON")                                       \
	X(URL, 0, TEXT, "url", "URL", "where the API is (IREKO_URL, http://127.0.0.1:8080)")       \
	X(CACERT, 0, FILE, "cacert", "FILE",                                                       \
		"trusted certificate, PEM, instead of the system's (IREKO_CACERT)")                \
	X(HELP, 'h', NONE, "help", "", "this")                                                     \
	X(VERSION, 0, NONE, "version", "", "print the version")

#define OPTION_ENUM(id, ...) OPT_##id,
enum option_id { OPTIONS(OPTION_ENUM) OPT_COUNT_OF };
#undef OPTION_ENUM
#define OPTION_BIT(id) (1U << OPT_##id)
/* Every command takes these. */
#define OPTIONS_OF_ALL                                                                             \
	(OPTION_BIT(JSON) | OPTION_BIT(URL) | OPTION_BIT(CACERT) | OPTION_BIT(HELP) |              \
		OPTION_BIT(VERSION))

struct option_def {
	char letter; /* 0: none */
	enum value_kind kind;
	const char *name, *value, *meaning;
};
extern const struct option_def option_defs[OPT_COUNT_OF];
/* Words that a kind's value is one of, ended by NULL; NULL when it is none of a list. */
const char *const *value_words(enum value_kind kind);

enum { OPERANDS_MAX = 32 };

/* What the command line said. */
struct args {
	const struct command *command;	 /* NULL: none was named */
	const char *value[OPT_COUNT_OF]; /* "" for a switch that is on; NULL: not given */
	const char *operand[OPERANDS_MAX];
	size_t n_operands;
	struct rest rest;
};

struct command {
	const char *words;    /* "device add" */
	const char *operands; /* for help: "NAME", "" for none */
	size_t least, most;   /* how many */
	uint32_t options;     /* OPTION_BITs, besides those of all */
	const char *meaning;
	const char *example; /* a line that works as it stands */
	bool needs_token;
	enum exit_code (*run)(struct args *a);
};

extern const struct command commands[];
extern const size_t n_commands;

/* One line on stderr. Returns: EXIT_FAILED. */
enum exit_code fail(const char *fmt, ...) printf_like(1, 2);
/* The same for an answer that is none or an error: "what: why". Returns: what it means. */
enum exit_code fail_rest(const char *what, const struct rest_answer *a);
/* The same for a command line that can't be meant. Returns: EXIT_USAGE. */
enum exit_code fail_usage(const char *fmt, ...) printf_like(1, 2);
/* A line on stdout. Here as in the others, what does not belong on a terminal is escaped (text.h).
 */
void tell(const char *fmt, ...) printf_like(1, 2);
/* Asks on a terminal before something is destroyed, unless --yes. Returns: EXIT_FINE, EXIT_FAILED.
 */
enum exit_code confirm(const struct args *a, const char *fmt, ...) printf_like(2, 3);

static inline const char *option(const struct args *a, enum option_id id)
{
	return a->value[id];
}

#endif
