#include <stdio.h>
#include <string.h>

#include "api/cli/body.h"
#include "api/cli/columns.h"
#include "api/cli/find.h"
#include "api/cli/nouns.h"
#include "api/cli/object.h"
#include "api/cli/profile.h"

static const struct column list_columns[] = {
	{"USER", "user", COLUMN_TEXT},
	{"NAME", "name", COLUMN_TEXT},
	{"ADDRESS", "address4", COLUMN_TEXT},
	{"ENABLED", "enabled", COLUMN_YES},
	{"CONNECTED", "status.connected", COLUMN_YES},
	{"PROTOCOL", "status.protocol", COLUMN_TEXT},
	{"RECEIVED", "status.rx_bytes", COLUMN_BYTES},
	{"SENT", "status.tx_bytes", COLUMN_BYTES},
	{"ID", "id", COLUMN_TEXT},
};
static const struct column all_columns[] = {
	{"id", "id", COLUMN_TEXT},
	{"name", "name", COLUMN_TEXT},
	{"user", "user_id", COLUMN_TEXT},
	{"address", "address4", COLUMN_TEXT},
	{"address (IPv6)", "address6", COLUMN_TEXT},
	{"enabled", "enabled", COLUMN_YES},
	{"expires", "expires_at", COLUMN_TIME},
	{"connected", "status.connected", COLUMN_YES},
	{"protocol", "status.protocol", COLUMN_TEXT},
	{"transport", "status.transport", COLUMN_TEXT},
	{"endpoint", "status.endpoint", COLUMN_TEXT},
	{"connected since", "status.connected_since", COLUMN_TIME},
	{"last handshake", "status.last_handshake_at", COLUMN_TIME},
	{"received", "status.rx_bytes", COLUMN_BYTES},
	{"sent", "status.tx_bytes", COLUMN_BYTES},
	{"created", "created_at", COLUMN_TIME},
};
static const struct column credential_columns[] = {
	{"CREDENTIAL", "id", COLUMN_TEXT},
	{"PROTOCOL", "protocol", COLUMN_TEXT},
	{"CREATED", "created_at", COLUMN_TIME},
	{"EXPIRES", "expires_at", COLUMN_TIME},
	{"REVOKED", "revoked_at", COLUMN_TIME},
};

/* ---- add ---- */

static enum exit_code body_of(struct args *a, json_t **out)
{
	char user[ID_TEXT] = "";
	enum exit_code rc =
		option(a, OPT_USER) ? find_user(a, option(a, OPT_USER), user) : find_me(a, user);

	if (rc)
		return rc;
	*out = json_pack("{s:s, s:s}", "user_id", user, "name", a->operand[0]);
	if (!*out)
		return fail("device add: the name is not UTF-8");
	body_put(*out, "address4", option(a, OPT_ADDRESS4));
	body_put(*out, "address6", option(a, OPT_ADDRESS6));
	body_put_expiry(*out, a);
	return EXIT_FINE;
}

/* A device without a credential is of no use: it goes again. */
static enum exit_code issue(struct args *a, const char *device, struct rest_answer *credential)
{
	ANSWER gone = {.status = 0};
	char path[PATH_TEXT];

	snprintf(path, sizeof(path), "/v1/devices/%s/credentials", device);
	if (rest_call(&a->rest, "POST", path, json_pack("{s:s}", "protocol", protocol_of(a)),
		    credential))
		return EXIT_FINE;
	snprintf(path, sizeof(path), "/v1/devices/%s", device);
	if (!rest_call(&a->rest, "DELETE", path, NULL, &gone))
		fail("device %s stays, without a credential", device);
	return fail_rest("credential", credential);
}

static enum exit_code create(struct args *a, struct rest_answer *credential)
{
	ANSWER device = {.status = 0};
	json_t *body = NULL;
	enum exit_code rc = body_of(a, &body);

	if (rc)
		return rc;
	if (!rest_call(&a->rest, "POST", "/v1/devices", body, &device))
		return fail_rest("device", &device);
	return issue(a, rest_text(device.doc, "id"), credential);
}

enum exit_code run_device_add(struct args *a)
{
	ANSWER credential = {.status = 0};
	struct profile p;
	enum exit_code rc = profile_open(&p, a, a->operand[0]);

	if (rc)
		return rc;
	rc = create(a, &credential);
	if (rc) {
		profile_cancel(&p);
		return rc;
	}
	return profile_put(&p, a, credential.doc);
}

/* ---- the others ---- */

enum exit_code run_device_list(struct args *a)
{
	char path[PATH_TEXT] = "/v1/devices", user[ID_TEXT];

	if (option(a, OPT_USER)) {
		const enum exit_code rc = find_user(a, option(a, OPT_USER), user);

		if (rc)
			return rc;
		rest_query(path, sizeof(path), "user_id", user);
	}
	return list_show(a, path, 0, list_columns, ARRAY_SIZE(list_columns));
}

enum exit_code run_device_show(struct args *a)
{
	ANSWER device = {.status = 0};
	const enum exit_code rc = object_get(a, OBJECT_DEVICE, &device);
	const json_t *credentials;

	if (rc)
		return rc;
	if (option(a, OPT_JSON)) {
		print_json(device.doc);
		return EXIT_FINE;
	}
	columns_details(stdout, all_columns, ARRAY_SIZE(all_columns), device.doc);
	credentials = json_object_get(device.doc, "credentials");
	if (json_array_size(credentials) > 0) {
		putchar('\n');
		columns_print(stdout, columns_width(stdout), credential_columns,
			ARRAY_SIZE(credential_columns), credentials);
	}
	return EXIT_FINE;
}

enum exit_code run_device_disable(struct args *a)
{
	const enum exit_code rc =
		confirm(a, "Disable device %s and end its tunnel?", a->operand[0]);

	return rc ? rc : object_switch(a, OBJECT_DEVICE, "enabled", false, "Disabled.");
}

enum exit_code run_device_enable(struct args *a)
{
	return object_switch(a, OBJECT_DEVICE, "enabled", true, "Enabled.");
}

enum exit_code run_device_rm(struct args *a)
{
	return object_remove(a, OBJECT_DEVICE, " with its credentials");
}
