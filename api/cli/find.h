/* Lists of the API, all pages of them, and objects by name or id. */
#ifndef API_CLI_FIND_H
#define API_CLI_FIND_H

#include "api/cli/command.h"

enum { ID_TEXT = 64, PATH_TEXT = 512 };

/* All items of a list; path may have a query. most: at most so many, 0 for all.
 * Returns: EXIT_FINE with *items owned, or what went wrong, which was told. */
enum exit_code list_all(struct args *a, const char *path, size_t most, json_t **items) must_check;
/* The same, as it stands on a terminal: the API's JSON, or a table of it. */
struct column;
enum exit_code list_show(
	struct args *a, const char *path, size_t most, const struct column *c, size_t n) must_check;

enum object { OBJECT_USER, OBJECT_DEVICE, OBJECT_TOKEN };
/* "user" */
const char *object_kind(enum object o);

/* A user by name or id, a device by name, "user/name" or id, a token by name or id. One that more
 * than one could be is an error that names them all. Returns: EXIT_FINE, or what was told. */
enum exit_code find_user(struct args *a, const char *what, char id[ID_TEXT]) must_check;
enum exit_code find_device(struct args *a, const char *what, char id[ID_TEXT]) must_check;
/* The path of the one that the first operand names. */
enum exit_code find_path(struct args *a, enum object o, char path[PATH_TEXT]) must_check;
/* Whose token it is. */
enum exit_code find_me(struct args *a, char id[ID_TEXT]) must_check;
/* "usr_" and 26 characters of a ULID. */
bool is_id(const char *text, const char *prefix);

/* Adds member "user" (and "device" when devices is not NULL) with the names of what user_id and
 * device_id say. Names that nobody may see stay ids. */
void add_names(struct args *a, json_t *items, bool devices);

/* Prints a document as the API's own JSON. */
void print_json(const json_t *doc);
/* One request that changes something: prints its document with --json, else what was done, which
 * may be NULL. body is taken. Returns: EXIT_FINE, or what was told. */
enum exit_code change(struct args *a, const char *method, const char *path, json_t *body,
	const char *done) must_check;

#define ANSWER struct rest_answer cleanup(rest_answer_fini)
static inline void json_free_at(json_t **doc)
{
	json_decref(*doc);
}
#define JSON_OWNED json_t *cleanup(json_free_at)

#endif
