/* Files that hold secrets: where the token is, and how a profile is written. */
#ifndef API_CLI_FILES_H
#define API_CLI_FILES_H

#include <stddef.h>

#include "base/compiler.h"

enum { TOKEN_PATH = 512, TOKEN_MAX = 128, PASSWORD_MAX = 257 };

/* $XDG_CONFIG_HOME/ireko/token, else ~/.config/ireko/token. Returns: 0, -ENOENT (no home). */
int token_path(char out[TOKEN_PATH]) must_check;
/* From file, or, when that is NULL, from where it is stored. Returns: 0, -EINVAL (empty or too
 * long), -errno. */
int token_load(const char *file, char out[TOKEN_MAX]) must_check;
/* The id of the token that is stored, for whoever replaces it; "" when it is not known. */
void token_stored_id(char out[TOKEN_MAX]);
/* Replaces it and its id, mode 0600, with its folder when there is none. Returns: 0, -errno. */
int token_save(const char *token, const char *id) must_check;

/* Removes it and its id. Returns: 0, also when there is none; -errno. */
int token_forget(void) must_check;

/* Reads a whole file of at most cap - 1 bytes and ends it with NUL. Returns: its length, -EFBIG,
 * -errno. */
int file_read(const char *path, char *out, size_t cap) must_check;
/* Opens a new file, mode 0600; one that is there stays as it is. Returns: its descriptor,
 * -EEXIST, -errno. */
int secret_file_create(const char *path) must_check;
/* Writes all of it. Returns: 0, -errno. */
int write_all(int fd, const char *text) must_check;
int write_bytes(int fd, const char *at, size_t n) must_check;

/* The password that a file holds, without its last newline. Returns: 0, -EINVAL (empty or too
 * long), -errno. */
int password_load(const char *file, char out[PASSWORD_MAX]) must_check;
/* Asks on the terminal without echo, or reads a line of stdin when that is none.
 * Returns: 0, -EINVAL (empty or too long), -errno. */
int password_read(const char *prompt, char out[PASSWORD_MAX]) must_check;

#endif
