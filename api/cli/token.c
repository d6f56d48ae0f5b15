#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api/cli/body.h"
#include "api/cli/columns.h"
#include "api/cli/files.h"
#include "api/cli/find.h"
#include "api/cli/nouns.h"
#include "api/cli/object.h"

static const struct column list_columns[] = {
	{"USER", "user", COLUMN_TEXT},
	{"NAME", "name", COLUMN_TEXT},
	{"ROLE", "role", COLUMN_TEXT},
	{"CREATED", "created_at", COLUMN_TIME},
	{"EXPIRES", "expires_at", COLUMN_TIME},
	{"LAST USED", "last_used_at", COLUMN_TIME},
	{"ID", "id", COLUMN_TEXT},
};

enum exit_code run_token_list(struct args *a)
{
	return list_show(a, "/v1/tokens", 0, list_columns, ARRAY_SIZE(list_columns));
}

static json_t *body_of(const struct args *a)
{
	json_t *body = json_pack("{s:s}", "name", a->operand[0]);

	body_put(body, "role", option(a, OPT_ROLE));
	body_put_expiry(body, a);
	return body;
}

static enum exit_code put_token(int fd, const char *path, const json_t *made)
{
	int rc = write_all(fd, rest_text(made, "token"));

	if (rc == 0)
		rc = write_all(fd, "\n");
	if (close(fd) && rc == 0)
		rc = -errno;
	if (rc)
		return fail("%s: %s", path, strerror(-rc));
	tell("Token %s is in %s. It is given only this once.", rest_text(made, "id"), path);
	return EXIT_FINE;
}

/* A token on a terminal ends in its scrollback: so a file, unless the API's JSON is asked for. */
enum exit_code run_token_add(struct args *a)
{
	ANSWER made = {.status = 0};
	json_t *body = body_of(a);
	char path[256];
	int fd = -1;

	if (!body)
		return fail("token add: the name is not UTF-8");
	snprintf(path, sizeof(path), "%.200s%s",
		option(a, OPT_OUTPUT) ? option(a, OPT_OUTPUT) : a->operand[0],
		option(a, OPT_OUTPUT) ? "" : ".token");
	if (!option(a, OPT_JSON)) {
		fd = secret_file_create(path);
		if (fd < 0) {
			json_decref(body);
			return fail("%s: %s", path, strerror(-fd));
		}
	}
	if (!rest_call(&a->rest, "POST", "/v1/tokens", body, &made)) {
		if (fd >= 0) {
			close(fd);
			unlink(path);
		}
		return fail_rest("token add", &made);
	}
	if (fd >= 0)
		return put_token(fd, path, made.doc);
	print_json(made.doc);
	return EXIT_FINE;
}

enum exit_code run_token_rm(struct args *a)
{
	return object_remove(a, OBJECT_TOKEN, "");
}
