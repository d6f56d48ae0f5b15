/*
 * Text of users on a terminal: how wide it is, and without what would move the cursor, change
 * colours or turn the direction of writing round.
 */
#ifndef API_CLI_TEXT_H
#define API_CLI_TEXT_H

#include <stddef.h>

#include "base/compiler.h"

/* Columns that the text takes; wide characters two, combining ones none. It must be plain. */
size_t text_width(const char *plain);
/* A copy in which control characters, marks of direction, invisible ones and broken UTF-8 are
 * \x1b or \u{202e}. Returns: owned, NULL when there is no memory. */
char *text_plain(const char *text) must_check;
/* How many bytes of the plain text fit into so many columns. */
size_t text_fit(const char *plain, size_t columns);

#endif
