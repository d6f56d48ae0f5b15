#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api/cli/args.h"
#include "api/cli/columns.h"
#include "api/cli/files.h"
#include "api/cli/find.h"
#include "api/cli/nouns.h"
#include "base/clock.h"

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
	const struct clock clock = clock_system();
	json_t *body = json_pack("{s:s}", "name", a->operand[0]);
	char at[32];

	if (body && option(a, OPT_ROLE))
		json_object_set_new(body, "role", json_string(option(a, OPT_ROLE)));
	if (body && option(a, OPT_EXPIRES) &&
		args_time(option(a, OPT_EXPIRES), clock_real_ms(&clock), false, at) == 0)
		json_object_set_new(body, "expires_at", json_string(at));
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
	char id[ID_TEXT], path[PATH_TEXT];
	enum exit_code rc = find_token(a, a->operand[0], id);

	if (rc == EXIT_FINE)
		rc = confirm(a, "Delete token %s?", a->operand[0]);
	if (rc)
		return rc;
	snprintf(path, sizeof(path), "/v1/tokens/%s", id);
	return change(a, "DELETE", path, NULL, "Deleted.");
}
