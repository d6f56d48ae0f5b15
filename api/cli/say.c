/* What goes wrong, in one line on stderr; and the question before something is destroyed. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/cli/command.h"
#include "api/cli/text.h"

static void say(FILE *to, const char *before, const char *fmt, va_list ap, const char *after)
	__attribute__((format(printf, 3, 0)));
static void say(FILE *to, const char *before, const char *fmt, va_list ap, const char *after)
{
	char *text = NULL, *plain;

	if (vasprintf(&text, fmt, ap) < 0)
		return;
	plain = text_plain(text);
	fprintf(to, "%s%s%s", before, plain ? plain : "no memory", after);
	free(plain);
	free(text);
}

enum exit_code fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(stderr, "ireko: ", fmt, ap, "\n");
	va_end(ap);
	return EXIT_FAILED;
}

enum exit_code fail_usage(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(stderr, "ireko: ", fmt, ap, " (see ireko --help)\n");
	va_end(ap);
	return EXIT_USAGE;
}

enum exit_code fail_rest(const char *what, const struct rest_answer *a)
{
	fail("%s: %s", what, a->why);
	switch (a->status) {
	case 0:
		return EXIT_UNREACHABLE;
	case 401:
	case 403:
		return EXIT_NOT_ALLOWED;
	case 404:
		return EXIT_NOT_FOUND;
	}
	return EXIT_FAILED;
}

void tell(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(stdout, "", fmt, ap, "\n");
	va_end(ap);
}

enum exit_code confirm(const struct args *a, const char *fmt, ...)
{
	char line[16] = "";
	va_list ap;

	if (option(a, OPT_YES) || !isatty(STDIN_FILENO))
		return EXIT_FINE;
	va_start(ap, fmt);
	say(stderr, "", fmt, ap, " [y/N] ");
	va_end(ap);
	fflush(stderr);
	if (fgets(line, sizeof(line), stdin) && (line[0] == 'y' || line[0] == 'Y'))
		return EXIT_FINE;
	return fail("nothing was changed");
}
