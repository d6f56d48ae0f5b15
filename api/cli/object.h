/* What is done to one object, the one that the command's first operand names. */
#ifndef API_CLI_OBJECT_H
#define API_CLI_OBJECT_H

#include "api/cli/find.h"

/* All of these return EXIT_FINE, or what went wrong, which was told. */
enum exit_code object_get(struct args *a, enum object o, struct rest_answer *out) must_check;
/* Sets a member that is true or false. done: what is told then. */
enum exit_code object_switch(
	struct args *a, enum object o, const char *member, bool value, const char *done) must_check;
/* Deletes it, after a question. with: what goes with it, as " with its credentials", or "". */
enum exit_code object_remove(struct args *a, enum object o, const char *with) must_check;

#endif
