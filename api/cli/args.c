#include "api/cli/args.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define OPTION_DEF(id, letter, kind, name, value, meaning)                                         \
	[OPT_##id] = {letter, VALUE_##kind, name, value, meaning},
const struct option_def option_defs[OPT_COUNT_OF] = {OPTIONS(OPTION_DEF)};
#undef OPTION_DEF
_Static_assert(OPT_COUNT_OF <= 32, "each option is a bit");

const char *const *value_words(enum value_kind kind)
{
	static const char *const protocols[] = {"wireguard", "openvpn", NULL};
	static const char *const roles[] = {"user", "auditor", "operator", "admin", NULL};

	return kind == VALUE_PROTOCOL ? protocols : kind == VALUE_ROLE ? roles : NULL;
}

/* ---- values ---- */

static int64_t unit_ms(char unit)
{
	switch (unit) {
	case 's':
		return 1000;
	case 'm':
		return 60 * 1000;
	case 'h':
		return 3600 * 1000;
	case 'd':
		return 24 * 3600 * 1000;
	}
	return 0;
}

int args_time(const char *text, int64_t now_ms, bool ago, char out[32])
{
	char buf[CLOCK_TEXT], *end;
	int64_t at, n;

	if (clock_parse_ms(text, &at) == 0) {
		snprintf(out, 32, "%s", clock_format_ms(at, buf));
		return 0;
	}
	errno = 0;
	n = strtoll(text, &end, 10);
	if (errno || text[0] < '0' || text[0] > '9' || unit_ms(*end) == 0 || end[1] != '\0' ||
		n > 100LL * 366 * 24 * 3600)
		return -EINVAL;
	at = ago ? now_ms - n * unit_ms(*end) : now_ms + n * unit_ms(*end);
	if (at < 0 || at > 253402300799999)
		return -EINVAL;
	snprintf(out, 32, "%s", clock_format_ms(at, buf));
	return 0;
}

static bool is_number(const char *text)
{
	return text[0] != '\0' && strlen(text) <= 9 && strspn(text, "0123456789") == strlen(text);
}

static bool is_word(const char *const *words, const char *text)
{
	for (; *words; words++)
		if (strcmp(*words, text) == 0)
			return true;
	return false;
}

static int check_value(const struct option_def *o, const char *value, char *why)
{
	char ignored[32];
	bool ok = true;

	switch (o->kind) {
	case VALUE_NONE:
	case VALUE_TEXT:
	case VALUE_FILE:
		break;
	case VALUE_NUMBER:
		ok = is_number(value);
		break;
	case VALUE_TIME:
		ok = args_time(value, 1LL << 41, false, ignored) == 0;
		break;
	case VALUE_PROTOCOL:
	case VALUE_ROLE:
		ok = is_word(value_words(o->kind), value);
		break;
	}
	if (ok && (value[0] != '\0' || o->kind == VALUE_NONE))
		return 0;
	snprintf(why, ARGS_WHY, "--%s: not %.40s (%s)", o->name, value[0] ? value : "empty",
		o->meaning);
	return -EINVAL;
}

/* ---- options ---- */

static const struct option_def *by_name(const char *name, size_t len)
{
	for (size_t i = 0; i < OPT_COUNT_OF; i++)
		if (strlen(option_defs[i].name) == len &&
			strncmp(option_defs[i].name, name, len) == 0)
			return &option_defs[i];
	return NULL;
}

static const struct option_def *by_letter(const char *text)
{
	for (size_t i = 0; i < OPT_COUNT_OF; i++)
		if (option_defs[i].letter && option_defs[i].letter == text[1] && text[2] == '\0')
			return &option_defs[i];
	return NULL;
}

/* Takes one argument, or two, from argv[*at]; *at is then the last one used. */
static int take_option(struct args *a, int argc, char **argv, int *at, char *why)
{
	const char *text = argv[*at], *equals = strchr(text, '=');
	const bool is_long = text[1] == '-';
	const size_t len = equals ? (size_t)(equals - text) : strlen(text);
	const struct option_def *o = is_long ? by_name(text + 2, len - 2) : by_letter(text);
	const char *value = is_long && equals ? equals + 1 : NULL;

	if (!o) {
		snprintf(why, ARGS_WHY, "unknown option %.*s", (int)(len < 40 ? len : 40), text);
		return -EINVAL;
	}
	if (o->kind == VALUE_NONE && value) {
		snprintf(why, ARGS_WHY, "--%s takes no value", o->name);
		return -EINVAL;
	}
	if (o->kind != VALUE_NONE && !value) {
		if (*at + 1 >= argc) {
			snprintf(why, ARGS_WHY, "a value is missing after --%s", o->name);
			return -EINVAL;
		}
		value = argv[++*at];
	}
	if (a->value[o - option_defs]) {
		snprintf(why, ARGS_WHY, "--%s is given twice", o->name);
		return -EINVAL;
	}
	a->value[o - option_defs] = value ? value : "";
	return check_value(o, value ? value : "", why);
}

/* ---- words ---- */

/* How many of the n words are those of the command; 0: it is another one. */
static size_t words_of(const struct command *c, char *const *words, size_t n)
{
	const char *at = c->words;
	size_t k = 0;

	while (k < n) {
		const size_t len = strlen(words[k]);

		if (len == 0 || strncmp(at, words[k], len) != 0 ||
			(at[len] != ' ' && at[len] != '\0'))
			return 0;
		k++;
		if (at[len] == '\0')
			return k;
		at += len + 1;
	}
	return 0;
}

static const struct command *find(char *const *words, size_t n, size_t *used)
{
	const struct command *best = NULL;

	*used = 0;
	for (size_t i = 0; i < n_commands; i++) {
		const size_t k = words_of(&commands[i], words, n);

		if (k > *used) {
			*used = k;
			best = &commands[i];
		}
	}
	return best;
}

static int check_command(const struct args *a, char *const *words, size_t n, char *why)
{
	const struct command *c = a->command;

	if (!c) {
		if (n > 0)
			snprintf(why, ARGS_WHY, "unknown command %.60s", words[0]);
		else
			snprintf(why, ARGS_WHY, "a command is missing");
		return -EINVAL;
	}
	for (size_t i = 0; i < OPT_COUNT_OF; i++) {
		if (a->value[i] && !((c->options | OPTIONS_OF_ALL) & 1U << i)) {
			snprintf(why, ARGS_WHY, "%s does not take --%s", c->words,
				option_defs[i].name);
			return -EINVAL;
		}
	}
	if (a->n_operands < c->least)
		snprintf(why, ARGS_WHY, "%s needs %s", c->words, c->operands);
	else if (a->n_operands > c->most)
		snprintf(why, ARGS_WHY, "%s: too much: %.60s", c->words, a->operand[c->most]);
	else
		return 0;
	return -EINVAL;
}

/* Options out, words and operands stay, in their order. Returns: how many, -EINVAL. */
static int sift(struct args *a, int argc, char **argv, char **rest, char *why)
{
	bool only_words = false;
	int n = 0;

	for (int i = 1; i < argc; i++) {
		const bool dash = argv[i][0] == '-' && argv[i][1] != '\0';

		if (!only_words && strcmp(argv[i], "--") == 0) {
			only_words = true;
		} else if (!only_words && dash) {
			if (take_option(a, argc, argv, &i, why))
				return -EINVAL;
		} else if (n == OPERANDS_MAX) {
			snprintf(why, ARGS_WHY, "too many arguments");
			return -EINVAL;
		} else {
			rest[n++] = argv[i];
		}
	}
	return n;
}

int args_parse(struct args *a, int argc, char **argv, char *why)
{
	char *rest[OPERANDS_MAX];
	size_t used;
	int n = sift(a, argc, argv, rest, why);

	if (n < 0)
		return n;
	a->command = find(rest, (size_t)n, &used);
	for (size_t i = used; a->command && i < (size_t)n; i++)
		a->operand[a->n_operands++] = rest[i];
	if (option(a, OPT_HELP) || option(a, OPT_VERSION))
		return 0;
	return check_command(a, rest, (size_t)n, why);
}
