/*
 * Settings as a table: one row is one environment variable, one flag and one line of --help.
 *
 * IREKO_HTTP_LISTEN and --http-listen are the same row; the flag wins. IREKO_X_FILE names a file
 * whose content (one trailing newline removed) is the value. Text that was read from such a file
 * is wiped as soon as the row has been parsed. An empty variable counts as unset.
 */
#ifndef BASE_SETTINGS_H
#define BASE_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"

enum setting_kind {
	SETTING_TEXT = false,
	SETTING_PATH = true, /* names a file itself (MASTER_KEY_FILE): no _FILE variant of it */
	SETTING_FLAG_ONLY,   /* something to be done once, which no environment may ask for again */
	SETTING_SWITCH,	     /* the same, and its flag takes no value: parse is given "on" */
};

struct setting {
	const char *name;    /* "HTTP_LISTEN": the variable without IREKO_ */
	const char *initial; /* default text, NULL for none */
	const char *meaning; /* for --help, no full stop */
	/* Checks value and stores a copy of it into conf (value lives for the call only). On a bad
	 * value writes what is wrong ("is not a port") into why. Returns: 0, -EINVAL. */
	int (*parse)(void *conf, const char *value, char *why, size_t why_len);
	unsigned kind; /* enum setting_kind */
};

struct program {
	const char *name;    /* "ireko-dataplane" */
	const char *summary; /* one line for --help */
	const struct setting *settings;
	size_t n_settings;
};

enum settings_outcome { SETTINGS_OK = 0, SETTINGS_DONE = 1 /* --help or --version was printed */ };

/* Reads defaults, environment and flags into conf. On an error one line that names the flag has
 * been written to stderr. Returns: SETTINGS_OK, SETTINGS_DONE (exit 0), -EINVAL (exit 2). */
int settings_load(const struct program *p, int argc, char **argv, void *conf) must_check;

/* The version that all programs print, for example "0.1.0". */
const char *ireko_version(void);

/* Parsers that several programs share. */
int setting_parse_log_level(const char *value, int *out) must_check;
int setting_parse_log_format(const char *value, int *out) must_check;
/* "on"/"off"/"1"/"0"/"true"/"false". */
int setting_parse_bool(const char *value, bool *out) must_check;

#endif
