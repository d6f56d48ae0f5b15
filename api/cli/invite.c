#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/cli/body.h"
#include "api/cli/find.h"
#include "api/cli/nouns.h"
#include "api/cli/profile.h"
#include "api/cli/text.h"

/* Not on stdout: that is the link and nothing else. */
static void say_until(const char *expires_at)
{
	char *plain = text_plain(expires_at);

	fprintf(stderr, "It works once, until %s.\n", plain ? plain : "?");
	free(plain);
}

/* The link begins as the API was asked, unless the service knows better. */
static void warn_loopback(const char *url)
{
	static const char *const here[] = {"://127.", "://[::1]", "://localhost"};

	for (size_t i = 0; i < ARRAY_SIZE(here); i++)
		if (strstr(url, here[i]))
			fprintf(stderr,
				"No other machine can open that: set IREKO_PUBLIC_URL of the "
				"service.\n");
}

enum exit_code run_invite(struct args *a)
{
	json_t *body;
	ANSWER made = {.status = 0};
	char id[ID_TEXT], path[PATH_TEXT];
	const enum exit_code rc = find_device(a, a->operand[0], id);

	if (rc)
		return rc;
	body = json_pack("{s:s}", "protocol", protocol_of(a));
	body_put_expiry(body, a);
	snprintf(path, sizeof(path), "/v1/devices/%s/invites", id);
	if (!rest_call(&a->rest, "POST", path, body, &made))
		return fail_rest("invite", &made);
	if (option(a, OPT_JSON)) {
		print_json(made.doc);
		return EXIT_FINE;
	}
	tell("%s", rest_text(made.doc, "url"));
	say_until(rest_text(made.doc, "expires_at"));
	warn_loopback(rest_text(made.doc, "url"));
	return option(a, OPT_QR) ? qr_draw(rest_text(made.doc, "url")) : EXIT_FINE;
}
