#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/cli/columns.h"
#include "api/cli/find.h"
#include "api/cli/follow.h"
#include "api/cli/nouns.h"
#include "api/cli/text.h"

struct listener {
	bool json;
	unsigned long left; /* of --count; 0: no end */
};

/* What is worth saying of an event, in the order of the line. */
static const char *const members[] = {"session.device_id", "session.protocol", "session.transport",
	"session.endpoint", "previous_endpoint", "reason", "device_id", "change"};

static void say_members(const json_t *data)
{
	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		const json_t *v = columns_member(data, members[i]);
		const char *name = strrchr(members[i], '.');
		char *plain = json_is_string(v) ? text_plain(json_string_value(v)) : NULL;

		if (plain)
			printf("  %s=%s", name ? name + 1 : members[i], plain);
		free(plain);
	}
}

static void say_traffic(const json_t *data)
{
	char rx[24], tx[24];

	printf("  received %s  sent %s",
		columns_rate((uint64_t)json_integer_value(json_object_get(data, "rx_bps")), rx),
		columns_rate((uint64_t)json_integer_value(json_object_get(data, "tx_bps")), tx));
}

static void say(const struct sse_event *e, const json_t *data)
{
	char *at = text_plain(rest_text(data, "at")), *type = text_plain(e->type);

	if (at && type)
		printf("%s  %s", at, type);
	if (strcmp(e->type, "traffic") == 0)
		say_traffic(data);
	else
		say_members(data);
	putchar('\n');
	free(at);
	free(type);
}

/* One object a line, so that scripts can read line by line. */
static void say_json(const struct sse_event *e, json_t *data)
{
	JSON_OWNED doc = json_pack("{s:s, s:s, s:O}", "id", e->id, "type", e->type, "data", data);
	const size_t ascii = isatty(STDOUT_FILENO) ? JSON_ENSURE_ASCII : 0;

	json_dumpf(doc, stdout, JSON_COMPACT | ascii);
	putchar('\n');
}

static bool on_event(void *arg, const struct sse_event *e)
{
	struct listener *l = arg;
	JSON_OWNED data = json_loads(e->data, 0, NULL);

	if (!data || strcmp(e->type, "hello") == 0)
		return true;
	if (l->json)
		say_json(e, data);
	else
		say(e, data);
	fflush(stdout);
	return l->left == 0 || --l->left > 0;
}

enum exit_code run_events(struct args *a)
{
	const char *count = option(a, OPT_COUNT);
	struct listener l = {
		.json = option(a, OPT_JSON), .left = count ? strtoul(count, NULL, 10) : 0};

	return follow_events(a, option(a, OPT_TYPES), on_event, &l);
}
