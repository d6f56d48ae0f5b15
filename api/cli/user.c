#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/cli/columns.h"
#include "api/cli/files.h"
#include "api/cli/find.h"
#include "api/cli/nouns.h"
#include "base/secret.h"

static const struct column list_columns[] = {
	{"NAME", "name", COLUMN_TEXT},
	{"ROLE", "role", COLUMN_TEXT},
	{"DISABLED", "disabled", COLUMN_YES},
	{"EMAIL", "email", COLUMN_TEXT},
	{"CREATED", "created_at", COLUMN_TIME},
	{"ID", "id", COLUMN_TEXT},
};
static const struct column all_columns[] = {
	{"id", "id", COLUMN_TEXT},
	{"name", "name", COLUMN_TEXT},
	{"display name", "display_name", COLUMN_TEXT},
	{"email", "email", COLUMN_TEXT},
	{"role", "role", COLUMN_TEXT},
	{"disabled", "disabled", COLUMN_YES},
	{"one-time codes", "totp", COLUMN_YES},
	{"created", "created_at", COLUMN_TIME},
	{"updated", "updated_at", COLUMN_TIME},
};

/* Sets a member from an option that was given. */
static void put(json_t *body, const char *member, const char *value)
{
	if (body && value)
		json_object_set_new(body, member, json_string(value));
}

static enum exit_code put_password(json_t *body)
{
	char password[PASSWORD_MAX] = "";
	const int rc = password_read("Password of the new user", password);

	if (rc == 0)
		put(body, "password", password);
	secret_wipe(password, sizeof(password));
	return rc ? fail("no password: %s",
			    rc == -EINVAL ? "it is empty or too long" : strerror(-rc))
		  : EXIT_FINE;
}

enum exit_code run_user_add(struct args *a)
{
	json_t *body = json_pack("{s:s}", "name", a->operand[0]);
	ANSWER made = {.status = 0};

	if (!body)
		return fail("user add: the name is not UTF-8");
	put(body, "role", option(a, OPT_ROLE));
	put(body, "email", option(a, OPT_EMAIL));
	put(body, "display_name", option(a, OPT_DISPLAY_NAME));
	if (option(a, OPT_PASSWORD) && put_password(body)) {
		json_decref(body);
		return EXIT_FAILED;
	}
	if (!rest_call(&a->rest, "POST", "/v1/users", body, &made))
		return fail_rest("user add", &made);
	if (option(a, OPT_JSON))
		print_json(made.doc);
	else
		tell("Made user %s.", rest_text(made.doc, "id"));
	return EXIT_FINE;
}

enum exit_code run_user_list(struct args *a)
{
	return list_show(a, "/v1/users", 0, list_columns, ARRAY_SIZE(list_columns));
}

static enum exit_code path_of(struct args *a, char path[PATH_TEXT])
{
	char id[ID_TEXT];
	const enum exit_code rc = find_user(a, a->operand[0], id);

	if (rc == EXIT_FINE)
		snprintf(path, PATH_TEXT, "/v1/users/%s", id);
	return rc;
}

enum exit_code run_user_show(struct args *a)
{
	char path[PATH_TEXT];
	ANSWER user = {.status = 0};
	const enum exit_code rc = path_of(a, path);

	if (rc)
		return rc;
	if (!rest_call(&a->rest, "GET", path, NULL, &user))
		return fail_rest("user show", &user);
	if (option(a, OPT_JSON))
		print_json(user.doc);
	else
		columns_details(stdout, all_columns, ARRAY_SIZE(all_columns), user.doc);
	return EXIT_FINE;
}

static enum exit_code set_disabled(struct args *a, bool disabled)
{
	char path[PATH_TEXT];
	const enum exit_code rc = path_of(a, path);

	return rc ? rc
		  : change(a, "PATCH", path, json_pack("{s:b}", "disabled", disabled),
			    disabled ? "Disabled." : "Enabled.");
}

enum exit_code run_user_disable(struct args *a)
{
	const enum exit_code rc =
		confirm(a, "Disable user %s and end all of his tunnels?", a->operand[0]);

	return rc ? rc : set_disabled(a, true);
}

enum exit_code run_user_enable(struct args *a)
{
	return set_disabled(a, false);
}

enum exit_code run_user_rm(struct args *a)
{
	char path[PATH_TEXT];
	enum exit_code rc = path_of(a, path);

	if (rc == EXIT_FINE)
		rc = confirm(a, "Delete user %s with all devices, credentials and tokens?",
			a->operand[0]);
	return rc ? rc : change(a, "DELETE", path, NULL, "Deleted.");
}
