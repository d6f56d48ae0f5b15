/* Subcommands as a table: words, options, what it does. */
#ifndef API_CLI_COMMAND_H
#define API_CLI_COMMAND_H

#include <stddef.h>

#include "api/cli/rest.h"

/* What the command line said; options that a command does not take are refused. */
struct args {
	const char *name; /* the operand, NULL for none */
	const char *user, *protocol, *output;
	struct rest rest;
};

enum exit_code { EXIT_FINE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct command {
	const char *words;   /* "device add" */
	const char *operand; /* "NAME", NULL for none */
	const char *options; /* the short names of those it takes: "upo" */
	const char *meaning;
	bool needs_token;
	enum exit_code (*run)(struct args *a);
};

extern const struct command commands[];
extern const size_t n_commands;

/* One line on stderr. Returns: EXIT_FAILED. */
enum exit_code fail(const char *fmt, ...) printf_like(1, 2);

#endif
