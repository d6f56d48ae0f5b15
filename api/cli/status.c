#include <stdio.h>

#include "api/cli/find.h"
#include "api/cli/nouns.h"

static long long number(const json_t *doc, const char *name)
{
	return (long long)json_integer_value(json_object_get(doc, name));
}

static void say_dataplane(const json_t *dp)
{
	const json_t *count;
	const char *name;

	tell("dataplane      %s, up %lld s, %s, %lld workers", rest_text(dp, "version"),
		number(dp, "uptime_s"), rest_text(dp, "tun"), number(dp, "workers"));
	tell("peers          %lld, %lld with a session", number(dp, "peers"),
		number(dp, "sessions"));
	tell("received       %lld bytes, %lld packets", number(dp, "rx_bytes"),
		number(dp, "rx_packets"));
	tell("sent           %lld bytes, %lld packets", number(dp, "tx_bytes"),
		number(dp, "tx_packets"));
	json_object_foreach((json_t *)json_object_get(dp, "drops"), name, count)
	{
		if (json_integer_value(count) > 0)
			tell("dropped        %lld %s", (long long)json_integer_value(count), name);
	}
}

/* Fails when the service does not forward: scripts ask for that. */
enum exit_code run_status(struct args *a)
{
	ANSWER st = {.status = 0};
	const json_t *dp;
	bool connected, ok;

	if (!rest_call(&a->rest, "GET", "/v1/status", NULL, &st))
		return fail_rest("status", &st);
	dp = json_object_get(st.doc, "dataplane");
	connected = json_is_true(json_object_get(dp, "connected"));
	ok = json_is_true(json_object_get(json_object_get(st.doc, "database"), "ok"));
	if (option(a, OPT_JSON)) {
		print_json(st.doc);
		return connected && ok ? EXIT_FINE : EXIT_FAILED;
	}
	tell("control plane  %s, up %lld s, database %s", rest_text(st.doc, "version"),
		number(st.doc, "uptime_s"), ok ? "ok" : "broken");
	if (connected)
		say_dataplane(dp);
	else
		tell("dataplane      not connected");
	return connected && ok ? EXIT_FINE : EXIT_FAILED;
}
