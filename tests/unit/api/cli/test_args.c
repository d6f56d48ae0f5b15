/* Command lines: what they mean, what is refused, and that the table is whole. */
#include "api/cli/args.h"
#include "api/cli/help.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"

enum { WORDS = 40 };

/* Cuts the line at its blanks. */
static int parse(struct args *a, const char *line, char why[ARGS_WHY])
{
	static char text[512];
	static char program[] = "ireko";
	char *argv[WORDS] = {program}, *rest = text, *one;
	int n = 1;

	memset(a, 0, sizeof(*a));
	snprintf(text, sizeof(text), "%s", line);
	while (line[0] && n < WORDS && (one = strsep(&rest, " ")))
		argv[n++] = one;
	return args_parse(a, n, argv, why);
}

static void words_and_options_in_any_order(void **state)
{
	static const char *const lines[] = {
		"device add laptop --user alice --protocol openvpn --json",
		"--json device --protocol=openvpn add --user=alice laptop",
		"-j -u alice device add -p openvpn laptop",
		"device add --user alice --protocol openvpn --json -- laptop",
	};
	char why[ARGS_WHY];
	struct args a;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		assert_int_equal(parse(&a, lines[i], why), 0);
		assert_string_equal(a.command->words, "device add");
		assert_int_equal(a.n_operands, 1);
		assert_string_equal(a.operand[0], "laptop");
		assert_string_equal(option(&a, OPT_USER), "alice");
		assert_string_equal(option(&a, OPT_PROTOCOL), "openvpn");
		assert_non_null(option(&a, OPT_JSON));
		assert_null(option(&a, OPT_QR));
	}
	assert_int_equal(parse(&a, "user add -- --role", why), 0);
	assert_string_equal(a.operand[0], "--role");
	assert_int_equal(parse(&a, "device add x --output -", why), 0);
	assert_string_equal(option(&a, OPT_OUTPUT), "-");
}

static void the_longest_command_is_meant(void **state)
{
	char why[ARGS_WHY];
	struct args a;

	(void)state;
	assert_int_equal(parse(&a, "audit verify", why), 0);
	assert_string_equal(a.command->words, "audit verify");
	assert_int_equal(parse(&a, "audit", why), 0);
	assert_string_equal(a.command->words, "audit");
	assert_int_equal(parse(&a, "aud", why), -EINVAL);
	assert_int_equal(parse(&a, "user lis", why), -EINVAL);
}

static void refusals_name_what_is_wrong(void **state)
{
	static const struct {
		const char *line, *word;
	} cases[] = {
		{"", "missing"},
		{"nothing", "nothing"},
		{"user", "user"},
		{"user add", "NAME"},
		{"user add a b", "b"},
		{"user list --qr", "--qr"},
		{"user list --nothing", "--nothing"},
		{"user list -x", "-x"},
		{"user add a --role", "--role"},
		{"user add a --role king", "--role"},
		{"user add a --role=", "--role"},
		{"user add a --role user --role user", "twice"},
		{"user add a --password=x", "--password"},
		{"device add a --protocol ipsec", "--protocol"},
		{"device add a --expires soon", "--expires"},
		{"top --count -1", "--count"},
		{"top --count 1x", "--count"},
		{"top --count 9999999999", "--count"},
	};
	char why[ARGS_WHY];
	struct args a;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		why[0] = '\0';
		assert_int_equal(parse(&a, cases[i].line, why), -EINVAL);
		assert_non_null(strstr(why, cases[i].word));
	}
}

static void too_many_arguments_are_refused(void **state)
{
	char program[] = "ireko", word[] = "x", *argv[100], why[ARGS_WHY];
	struct args a = {.command = NULL};

	(void)state;
	argv[0] = program;
	for (size_t i = 1; i < 100; i++)
		argv[i] = word;
	assert_int_equal(args_parse(&a, 100, argv, why), -EINVAL);
}

static void help_needs_nothing_else(void **state)
{
	char why[ARGS_WHY];
	struct args a;

	(void)state;
	assert_int_equal(parse(&a, "device add --help", why), 0);
	assert_string_equal(a.command->words, "device add");
	assert_int_equal(parse(&a, "--version", why), 0);
	assert_null(a.command);
}

static void times_and_spans(void **state)
{
	const int64_t now = 1750000000000;
	char out[32];

	(void)state;
	assert_int_equal(args_time("2026-01-02T03:04:05+01:00", now, false, out), 0);
	assert_string_equal(out, "2026-01-02T02:04:05.000Z");
	assert_int_equal(args_time("1h", now, false, out), 0);
	assert_string_equal(out, "2025-06-15T16:06:40.000Z");
	assert_int_equal(args_time("1d", now, true, out), 0);
	assert_string_equal(out, "2025-06-14T15:06:40.000Z");
	static const char *const bad[] = {"", "h", "1", "1w", "-1h", "1hh", " 1h",
		"99999999999999999999d", "36600d1", "100000000d"};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(args_time(bad[i], now, false, out), -EINVAL);
}

/* Each example is a command line of its own command. */
static void the_table_is_whole(void **state)
{
	char why[ARGS_WHY], line[256];
	struct args a;

	(void)state;
	for (size_t i = 0; i < n_commands; i++) {
		const struct command *c = &commands[i];

		assert_non_null(c->run);
		assert_true(c->least <= c->most && c->most <= OPERANDS_MAX);
		assert_true((c->most == 0) == (c->operands[0] == '\0'));
		assert_int_equal(strncmp(c->example, "ireko ", 6), 0);
		snprintf(line, sizeof(line), "%.*s", (int)strcspn(c->example + 6, ">"),
			c->example + 6);
		if (line[strlen(line) - 1] == ' ')
			line[strlen(line) - 1] = '\0';
		if (parse(&a, line, why))
			fail_msg("%s: %s", line, why);
		assert_ptr_equal(a.command, c);
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(commands[k].words, c->words);
	}
	for (size_t i = 0; i < OPT_COUNT_OF; i++) {
		bool used = OPTIONS_OF_ALL & 1U << i;

		for (size_t k = 0; k < n_commands; k++)
			used = used || commands[k].options & 1U << i;
		if (!used)
			fail_msg("no command takes --%s", option_defs[i].name);
	}
}

static char *text_of(void (*make)(FILE *out))
{
	char *text = NULL;
	size_t n;
	FILE *out = open_memstream(&text, &n);

	make(out);
	fclose(out);
	assert_int_equal(strlen(text), n); /* no NUL inside */
	return text;
}

/* That bash takes it and offers the right words is test_cli.py's. */
static void completion_and_help_know_every_command(void **state)
{
	char *bash = text_of(completion_bash), *zsh = text_of(completion_zsh);
	char *help = text_of(help_all);

	(void)state;
	for (size_t i = 0; i < n_commands; i++) {
		char quoted[64];

		snprintf(quoted, sizeof(quoted), "'%s'", commands[i].words);
		assert_non_null(strstr(bash, quoted));
		assert_non_null(strstr(zsh, quoted));
		assert_non_null(strstr(help, commands[i].words));
	}
	for (size_t i = 0; i < OPT_COUNT_OF; i++)
		assert_non_null(strstr(bash, option_defs[i].name));
	free(bash);
	free(zsh);
	free(help);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_and_options_in_any_order),
		cmocka_unit_test(the_longest_command_is_meant),
		cmocka_unit_test(refusals_name_what_is_wrong),
		cmocka_unit_test(too_many_arguments_are_refused),
		cmocka_unit_test(help_needs_nothing_else),
		cmocka_unit_test(times_and_spans),
		cmocka_unit_test(the_table_is_whole),
		cmocka_unit_test(completion_and_help_know_every_command),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
