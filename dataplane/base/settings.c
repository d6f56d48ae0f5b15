/*
 * Settings: for every row the text that wins (flag, then environment, then default) is found first
 * and parsed once, so a bad value that is overruled can't stop a start.
 *
 * Errors name the flag, never the value: it may be a password.
 */
#include "base/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/secret.h"

enum {
	NAME_MAX_LEN = 64, /* "IREKO_" name "_FILE" and "--name" fit */
	WHY_LEN = 128,
	FILE_MAX_LEN = 65536, /* with its NUL */
	HELP_COLUMN = 26,
};

/* Prints "program: what: why" as one line, whatever is in the strings. */
static int complain(const struct program *p, const char *what, const char *why)
{
	char line[512];

	snprintf(line, sizeof(line), "%s: %.160s: %.160s", p->name, what, why);
	for (char *c = line; *c; c++) {
		if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7f)
			*c = '?';
	}
	fprintf(stderr, "%s\n", line);
	return -EINVAL;
}

/* "HTTP_LISTEN" becomes "--http-listen". */
static void flag_name(const struct setting *s, char out[NAME_MAX_LEN])
{
	size_t at = 0;

	out[at++] = '-';
	out[at++] = '-';
	for (const char *c = s->name; *c && at < NAME_MAX_LEN - 1; c++) {
		if (*c == '_')
			out[at++] = '-';
		else
			out[at++] = (char)(*c >= 'A' && *c <= 'Z' ? *c - 'A' + 'a' : *c);
	}
	out[at] = '\0';
}

static void variable_name(const struct setting *s, const char *suffix, char out[NAME_MAX_LEN])
{
	snprintf(out, NAME_MAX_LEN, "IREKO_%s%s", s->name, suffix);
}

static bool flag_only(const struct setting *s)
{
	return s->kind == SETTING_FLAG_ONLY || s->kind == SETTING_SWITCH;
}

/* ---- --help and --version ---- */

static void print_help(const struct program *p)
{
	printf("%s: %s\n\nUsage: %s [--flag VALUE | --flag=VALUE]...\n\n", p->name, p->summary,
		p->name);
	printf("Flags are also environment variables; the flag wins. A variable with _FILE\n"
	       "appended names a file that holds the value.\n\n");
	for (size_t i = 0; i < p->n_settings; i++) {
		const struct setting *s = &p->settings[i];
		char flag[NAME_MAX_LEN];
		char variable[NAME_MAX_LEN];

		flag_name(s, flag);
		variable_name(s, "", variable);
		if (flag_only(s))
			variable[0] = '\0';
		printf("  %-*s %-*s %s", HELP_COLUMN, flag, HELP_COLUMN, variable, s->meaning);
		if (s->kind == SETTING_SWITCH)
			printf("\n");
		else
			printf(" (default: %s)\n", s->initial ? s->initial : "none");
	}
	printf("  %-*s %-*s print this\n", HELP_COLUMN, "--help", HELP_COLUMN, "");
	printf("  %-*s %-*s print the version\n", HELP_COLUMN, "--version", HELP_COLUMN, "");
}

static void print_version(const struct program *p)
{
	printf("%s %s\n", p->name, ireko_version());
}

/* ---- flags ---- */

/* The row that the argument's name (up to '=') belongs to, or p->n_settings. */
static size_t find_flag(const struct program *p, const char *argument, size_t len)
{
	char flag[NAME_MAX_LEN];
	size_t i;

	for (i = 0; i < p->n_settings; i++) {
		flag_name(&p->settings[i], flag);
		if (strlen(flag) == len && strncmp(flag, argument, len) == 0)
			break;
	}
	return i;
}

/* Takes one argument, or two, from argv[*at]; *at then is the last one used. */
static int read_flag(const struct program *p, int argc, char **argv, int *at, const char **given)
{
	const char *argument = argv[*at];
	size_t len = strcspn(argument, "=");
	size_t row = find_flag(p, argument, len);
	char what[NAME_MAX_LEN];

	/* Cut at '=': what stands behind it may be secret. */
	snprintf(what, sizeof(what), "%.*s", (int)(len < 60 ? len : 60), argument);
	if (strncmp(argument, "--", 2) != 0)
		return complain(p, what, "unexpected argument");
	if (row == p->n_settings)
		return complain(p, what, "unknown flag");
	if (p->settings[row].kind == SETTING_SWITCH) {
		given[row] = "on";
		return argument[len] == '=' ? complain(p, what, "takes no value") : 0;
	}
	if (argument[len] == '=') {
		given[row] = argument + len + 1;
		return 0;
	}
	if (*at + 1 >= argc || strncmp(argv[*at + 1], "--", 2) == 0)
		return complain(p, what, "needs a value");
	given[row] = argv[++*at];
	return 0;
}

static int read_flags(const struct program *p, int argc, char **argv, const char **given)
{
	for (int at = 1; at < argc; at++) {
		int rc;

		if (strcmp(argv[at], "--help") == 0) {
			print_help(p);
			return SETTINGS_DONE;
		}
		if (strcmp(argv[at], "--version") == 0) {
			print_version(p);
			return SETTINGS_DONE;
		}
		rc = read_flag(p, argc, argv, &at, given);
		if (rc)
			return rc;
	}
	return 0;
}

/* ---- environment ---- */

/* An empty variable counts as unset, because compose files leave such behind. */
static const char *variable_get(const struct setting *s, const char *suffix)
{
	char name[NAME_MAX_LEN];
	const char *value;

	variable_name(s, suffix, name);
	value = getenv(name);
	return value && *value ? value : NULL;
}

struct file_text {
	size_t len;
	char text[FILE_MAX_LEN];
};

static void file_text_free(struct file_text **f)
{
	if (*f)
		secret_wipe(*f, sizeof(**f));
	free(*f);
}

/* Reads the whole file without its last newline. Returns: 0, -errno; *why says what is wrong. */
static int file_text_read(struct file_text *f, const char *path, const char **why)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	ssize_t got = 1;

	*why = "file can't be read";
	if (fd < 0)
		return -errno;
	f->len = 0;
	while (got > 0 && f->len < sizeof(f->text)) {
		got = read(fd, f->text + f->len, sizeof(f->text) - f->len);
		if (got < 0 && errno == EINTR)
			got = 1;
		else if (got > 0)
			f->len += (size_t)got;
	}
	close(fd);
	if (got < 0)
		return -EIO;
	*why = "file is too long";
	if (f->len == sizeof(f->text))
		return -EFBIG;
	*why = "file holds a NUL byte";
	if (memchr(f->text, '\0', f->len))
		return -EINVAL;
	if (f->len && f->text[f->len - 1] == '\n')
		f->len--;
	f->text[f->len] = '\0';
	return 0;
}

/* ---- one row ---- */

static int parse_value(const struct program *p, const struct setting *s, const char *what,
	const char *value, void *conf)
{
	char why[WHY_LEN] = "has a bad value";

	if (s->parse(conf, value, why, sizeof(why)))
		return complain(p, what, why);
	return 0;
}

/* From IREKO_X_FILE = path. */
static int load_file(const struct program *p, const struct setting *s, const char *path, void *conf)
{
	struct file_text *f cleanup(file_text_free) = malloc(sizeof(*f));
	char what[NAME_MAX_LEN];
	const char *why = "out of memory";

	variable_name(s, "_FILE", what);
	if (!f || file_text_read(f, path, &why))
		return complain(p, what, why);
	return parse_value(p, s, what, f->text, conf);
}

static int load_row(const struct program *p, const struct setting *s, const char *given, void *conf)
{
	const char *file = s->kind == SETTING_TEXT ? variable_get(s, "_FILE") : NULL;
	const char *value = flag_only(s) ? NULL : variable_get(s, "");
	char what[NAME_MAX_LEN];

	flag_name(s, what);
	if (given)
		return parse_value(p, s, what, given, conf);
	variable_name(s, "", what);
	if (value && file)
		return complain(p, what, "is set, and the same with _FILE too");
	if (file)
		return load_file(p, s, file, conf);
	if (value)
		return parse_value(p, s, what, value, conf);
	if (s->initial)
		return parse_value(p, s, what, s->initial, conf);
	return 0;
}

int settings_load(const struct program *p, int argc, char **argv, void *conf)
{
	const char **given = calloc(p->n_settings + 1, sizeof(*given));
	int rc;

	if (!given)
		return complain(p, "settings", "out of memory");
	rc = read_flags(p, argc, argv, given);
	for (size_t i = 0; rc == 0 && i < p->n_settings; i++)
		rc = load_row(p, &p->settings[i], given[i], conf);
	free(given);
	return rc;
}

const char *ireko_version(void)
{
	return IREKO_VERSION;
}

/* ---- shared parsers ---- */

struct word {
	const char *text;
	int value;
};

static int find_word(const struct word *words, size_t n, const char *value, int *out)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(words[i].text, value) == 0) {
			*out = words[i].value;
			return 0;
		}
	}
	return -EINVAL;
}

int setting_parse_log_level(const char *value, int *out)
{
	static const struct word words[] = {
		{"error", LOG_ERROR}, {"warn", LOG_WARN}, {"info", LOG_INFO}, {"debug", LOG_DEBUG}};

	return find_word(words, ARRAY_SIZE(words), value, out);
}

int setting_parse_log_format(const char *value, int *out)
{
	static const struct word words[] = {{"text", LOG_TEXT}, {"json", LOG_JSON}};

	return find_word(words, ARRAY_SIZE(words), value, out);
}

int setting_parse_bool(const char *value, bool *out)
{
	static const struct word words[] = {
		{"on", 1}, {"1", 1}, {"true", 1}, {"off", 0}, {"0", 0}, {"false", 0}};
	int v;

	if (find_word(words, ARRAY_SIZE(words), value, &v))
		return -EINVAL;
	*out = v;
	return 0;
}
