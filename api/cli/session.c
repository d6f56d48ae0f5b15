#include <stdio.h>
#include <string.h>

#include "api/cli/columns.h"
#include "api/cli/find.h"
#include "api/cli/nouns.h"

static const struct column list_columns[] = {
	{"USER", "user", COLUMN_TEXT},
	{"DEVICE", "device", COLUMN_TEXT},
	{"PROTOCOL", "protocol", COLUMN_TEXT},
	{"TRANSPORT", "transport", COLUMN_TEXT},
	{"ENDPOINT", "endpoint", COLUMN_TEXT},
	{"SINCE", "started_at", COLUMN_TIME},
	{"RECEIVED", "rx_bytes", COLUMN_BYTES},
	{"SENT", "tx_bytes", COLUMN_BYTES},
	{"ID", "id", COLUMN_TEXT},
};

enum exit_code run_session_list(struct args *a)
{
	JSON_OWNED items = NULL;
	enum exit_code rc;

	if (option(a, OPT_JSON))
		return list_show(a, "/v1/sessions", 0, NULL, 0);
	rc = list_all(a, "/v1/sessions", 0, &items);
	if (rc)
		return rc;
	add_names(a, items, true);
	columns_print(stdout, columns_width(stdout), list_columns, ARRAY_SIZE(list_columns), items);
	return EXIT_FINE;
}

static enum exit_code kill_one(struct args *a, const char *id)
{
	char path[PATH_TEXT];

	snprintf(path, sizeof(path), "/v1/sessions/%s", id);
	return change(a, "DELETE", path, NULL, "Ended.");
}

static enum exit_code kill_of_device(struct args *a)
{
	JSON_OWNED items = NULL;
	char device[ID_TEXT];
	const json_t *one;
	size_t i, n = 0;
	enum exit_code rc = find_device(a, a->operand[0], device);

	if (rc == EXIT_FINE)
		rc = list_all(a, "/v1/sessions", 0, &items);
	if (rc)
		return rc;
	json_array_foreach(items, i, one)
	{
		if (strcmp(rest_text(one, "device_id"), device) != 0)
			continue;
		rc = rc ? rc : kill_one(a, rest_text(one, "id"));
		n++;
	}
	if (n > 0)
		return rc;
	fail("%s has no tunnel", a->operand[0]);
	return EXIT_NOT_FOUND;
}

enum exit_code run_session_kill(struct args *a)
{
	const enum exit_code rc = confirm(a, "End the tunnel %s?", a->operand[0]);

	if (rc)
		return rc;
	return is_id(a->operand[0], "ses_") ? kill_one(a, a->operand[0]) : kill_of_device(a);
}
