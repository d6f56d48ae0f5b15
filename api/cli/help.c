#include "api/cli/help.h"

#include <string.h>

static const char exits[] = "Exit status: 0 done, 1 it failed, 2 the command line is wrong, 3 "
			    "there is no such object,\n"
			    "4 not logged in or not allowed, 5 the API can't be reached.\n";

static void option_line(FILE *out, const struct option_def *o)
{
	char left[48], letter[8] = "    ";

	if (o->letter)
		snprintf(letter, sizeof(letter), "-%c, ", o->letter);
	snprintf(left, sizeof(left), "%s--%s%s%s", letter, o->name, o->value[0] ? " " : "",
		o->value);
	fprintf(out, "  %-28s %s\n", left, o->meaning);
}

static void options(FILE *out, uint32_t which)
{
	for (size_t i = 0; i < OPT_COUNT_OF; i++)
		if (which & 1U << i)
			option_line(out, &option_defs[i]);
}

void help_command(FILE *out, const struct command *c)
{
	fprintf(out, "Usage: ireko %s%s%s [OPTIONS]\n\n  %s\n\n", c->words,
		c->operands[0] ? " " : "", c->operands, c->meaning);
	options(out, c->options);
	options(out, OPTIONS_OF_ALL);
	fprintf(out, "\nExample:\n  %s\n\n%s", c->example, exits);
}

void help_all(FILE *out)
{
	fputs("Usage: ireko COMMAND [OPTIONS]\n\nThe command-line client of Ireko's REST API.\n\n",
		out);
	for (size_t i = 0; i < n_commands; i++) {
		char left[64];

		snprintf(left, sizeof(left), "%s%s%s", commands[i].words,
			commands[i].operands[0] ? " " : "", commands[i].operands);
		fprintf(out, "  %-36s %s\n", left, commands[i].meaning);
	}
	fputc('\n', out);
	options(out, OPTIONS_OF_ALL);
	fprintf(out,
		"\nUsers and devices are called by name or id: alice, laptop, alice/laptop,\n"
		"dev_... `ireko COMMAND --help` shows the options of a command and an example.\n\n"
		"IREKO_TOKEN is the token, IREKO_TOKEN_FILE a file that holds it; without them "
		"the\n"
		"one that login stored is taken. IREKO_PASSWORD_FILE is a file that holds the\n"
		"password for login; without it login asks. Without a token other commands log in\n"
		"with it as admin, for as long as they take.\n\n%s",
		exits);
}
