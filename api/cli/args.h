/* From argv to what is to be done. Pure: nothing is printed or read. */
#ifndef API_CLI_ARGS_H
#define API_CLI_ARGS_H

#include <stdint.h>

#include "api/cli/command.h"

enum { ARGS_WHY = 160 };

/* Options may stand anywhere, as --name VALUE, --name=VALUE or by letter; "--" ends them. The
 * longest row of words that the rest begins with is the command. --help and --version need nothing
 * else to be right. a's texts are argv's. why has ARGS_WHY bytes.
 * Returns: 0, -EINVAL (why says what is wrong). */
int args_parse(struct args *a, int argc, char **argv, char *why) must_check;

/* A VALUE_TIME as the API takes it (RFC 3339). A span counts from now: forwards, or backwards when
 * ago. out has 32 bytes. Returns: 0, -EINVAL. */
int args_time(const char *text, int64_t now_ms, bool ago, char out[32]) must_check;

#endif
