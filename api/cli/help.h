/* Texts made of the tables: help, and what shells complete with. */
#ifndef API_CLI_HELP_H
#define API_CLI_HELP_H

#include <stdio.h>

#include "api/cli/command.h"

/* Of all commands, or of one. */
void help_all(FILE *out);
void help_command(FILE *out, const struct command *c);

void completion_bash(FILE *out);
void completion_zsh(FILE *out);

#endif
