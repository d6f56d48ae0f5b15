/*
 * ireko: the command-line client of the REST API. The table of commands says what there is, args.c
 * reads the command line by it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "api/cli/args.h"
#include "api/cli/files.h"
#include "api/cli/help.h"
#include "api/cli/nouns.h"
#include "base/secret.h"
#include "base/settings.h"

enum { URL_CAP = 256 };

static enum exit_code enter(struct args *a, char token[TOKEN_MAX])
{
	const char *given = getenv("IREKO_TOKEN"), *file = getenv("IREKO_TOKEN_FILE");
	int rc = 0;

	if (given && given[0] != '\0')
		rc = snprintf(token, TOKEN_MAX, "%s", given) < TOKEN_MAX ? 0 : -1;
	else
		rc = token_load(file, token);
	/* A token that was named and can't be had is no reason to become somebody else. */
	if (rc && !(given && given[0] != '\0') && !(file && file[0] != '\0') && can_login_once())
		return login_once(a);
	if (rc) {
		fail("no token: set IREKO_TOKEN, or log in with ireko login");
		return EXIT_NOT_ALLOWED;
	}
	a->rest.token = token;
	return EXIT_FINE;
}

static enum exit_code run(struct args *a)
{
	char token[TOKEN_MAX] = "";
	enum exit_code rc = EXIT_FINE;

	if (rest_open(&a->rest))
		return fail("no memory");
	if (a->command->needs_token)
		rc = enter(a, token);
	if (rc == EXIT_FINE)
		rc = a->command->run(a);
	if (a->command->needs_token && a->rest.csrf[0] != '\0')
		logout_once(a);
	rest_close(&a->rest);
	secret_wipe(token, sizeof(token));
	/* What could not be written was not done: a full disk, a closed pipe. */
	if (fflush(stdout) && rc == EXIT_FINE)
		rc = fail("what it says can't be written");
	return rc;
}

/* --url, else IREKO_URL, else this machine; without slashes at its end. */
static enum exit_code set_url(struct args *a, char url[URL_CAP])
{
	const char *given = option(a, OPT_URL), *env = getenv("IREKO_URL");
	const char *trusted = getenv("IREKO_CACERT");

	if (!given)
		given = env && env[0] ? env : "http://127.0.0.1:8080";
	if ((strncmp(given, "http://", 7) != 0 && strncmp(given, "https://", 8) != 0) ||
		strlen(given) >= URL_CAP)
		return fail_usage(
			"--url (IREKO_URL) begins with http:// or https://, not %s", given);
	snprintf(url, URL_CAP, "%s", given);
	for (size_t n = strlen(url); n > 8 && url[n - 1] == '/'; n--)
		url[n - 1] = '\0';
	a->rest.url = url;
	a->rest.cacert = option(a, OPT_CACERT);
	if (!a->rest.cacert && trusted && trusted[0])
		a->rest.cacert = trusted;
	return EXIT_FINE;
}

static bool asked_for_text(const struct args *a)
{
	if (option(a, OPT_VERSION))
		printf("ireko %s\n", ireko_version());
	else if (option(a, OPT_HELP) && a->command)
		help_command(stdout, a->command);
	else if (option(a, OPT_HELP))
		help_all(stdout);
	else
		return false;
	return true;
}

int main(int argc, char **argv)
{
	struct args a = {.command = NULL};
	char why[ARGS_WHY] = "", url[URL_CAP];
	enum exit_code rc;

	if (args_parse(&a, argc, argv, why))
		return fail_usage("%s", why);
	if (asked_for_text(&a))
		return EXIT_FINE;
	rc = set_url(&a, url);
	if (rc)
		return rc;
	curl_global_init(CURL_GLOBAL_DEFAULT);
	rc = run(&a);
	curl_global_cleanup();
	return rc;
}
