#include "api/cli/body.h"

#include "api/cli/args.h"
#include "base/clock.h"

void body_put(json_t *body, const char *member, const char *value)
{
	if (body && value)
		json_object_set_new(body, member, json_string(value));
}

void body_put_expiry(json_t *body, const struct args *a)
{
	const struct clock clock = clock_system();
	const char *given = option(a, OPT_EXPIRES);
	char at[32];

	if (given && args_time(given, clock_real_ms(&clock), false, at) == 0)
		body_put(body, "expires_at", at);
}
