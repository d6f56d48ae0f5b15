#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/cli/body.h"
#include "api/cli/columns.h"
#include "api/cli/files.h"
#include "api/cli/find.h"
#include "api/cli/nouns.h"
#include "api/cli/object.h"
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

static enum exit_code put_password(json_t *body)
{
	char password[PASSWORD_MAX] = "";
	const int rc = password_read("Password of the new user", password);

	if (rc == 0)
		body_put(body, "password", password);
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
	body_put(body, "role", option(a, OPT_ROLE));
	body_put(body, "email", option(a, OPT_EMAIL));
	body_put(body, "display_name", option(a, OPT_DISPLAY_NAME));
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

enum exit_code run_user_show(struct args *a)
{
	ANSWER user = {.status = 0};
	const enum exit_code rc = object_get(a, OBJECT_USER, &user);

	if (rc)
		return rc;
	if (option(a, OPT_JSON))
		print_json(user.doc);
	else
		columns_details(stdout, all_columns, ARRAY_SIZE(all_columns), user.doc);
	return EXIT_FINE;
}

enum exit_code run_user_disable(struct args *a)
{
	const enum exit_code rc =
		confirm(a, "Disable user %s and end all of his tunnels?", a->operand[0]);

	return rc ? rc : object_switch(a, OBJECT_USER, "disabled", true, "Disabled.");
}

enum exit_code run_user_enable(struct args *a)
{
	return object_switch(a, OBJECT_USER, "disabled", false, "Enabled.");
}

enum exit_code run_user_rm(struct args *a)
{
	return object_remove(a, OBJECT_USER, " with all devices, credentials and tokens");
}
