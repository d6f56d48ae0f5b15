/*
 * ireko: the command-line client of the REST API. Words choose a command from the table, options
 * may stand anywhere after them.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "api/cli/command.h"
#include "api/cli/files.h"
#include "base/secret.h"
#include "base/settings.h"

enum { OPT_CACERT = 256, OPT_URL, OPT_HELP, OPT_VERSION };

static const struct option options[] = {
	{"user", required_argument, NULL, 'u'},
	{"protocol", required_argument, NULL, 'p'},
	{"output", required_argument, NULL, 'o'},
	{"url", required_argument, NULL, OPT_URL},
	{"cacert", required_argument, NULL, OPT_CACERT},
	{"help", no_argument, NULL, OPT_HELP},
	{"version", no_argument, NULL, OPT_VERSION},
	{NULL, 0, NULL, 0},
};

static void help(void)
{
	printf("Usage: ireko COMMAND [OPTIONS]\n\nThe command-line client of Ireko's REST "
	       "API.\n\n");
	for (size_t i = 0; i < n_commands; i++)
		printf("  %-12s %-6s %s\n", commands[i].words,
			commands[i].operand ? commands[i].operand : "", commands[i].meaning);
	printf("\n"
	       "  --user USER          login: who logs in (admin); device add: whose it is (your "
	       "own)\n"
	       "  --protocol PROTOCOL  device add: wireguard or openvpn (wireguard)\n"
	       "  --output FILE        device add: where the profile goes (NAME.conf, NAME.ovpn),\n"
	       "                       - for stdout\n"
	       "  --url URL            where the API is (IREKO_URL, http://127.0.0.1:8080)\n"
	       "  --cacert FILE        certificate to trust, PEM, instead of the system's\n"
	       "  --help, --version\n\n"
	       "IREKO_TOKEN is the token, IREKO_TOKEN_FILE a file that holds it; without them the\n"
	       "one that login stored is taken.\n");
}

static enum exit_code usage(const char *what, const char *which)
{
	fprintf(stderr, "ireko: %s%s%s (see ireko --help)\n", what, which[0] ? " " : "", which);
	return EXIT_USAGE;
}

static bool takes(const struct command *c, int option)
{
	return option >= 256 || strchr(c->options, option) != NULL;
}

/* Matches the leading words; *used says how many of them belong to the command. */
static const struct command *find(char **words, int n, int *used)
{
	for (size_t i = 0; i < n_commands; i++) {
		const char *at = commands[i].words;
		int k = 0;

		while (k < n && strncmp(at, words[k], strlen(words[k])) == 0 &&
			(at[strlen(words[k])] == ' ' || at[strlen(words[k])] == '\0')) {
			at += strlen(words[k++]);
			if (*at == '\0') {
				*used = k;
				return &commands[i];
			}
			at++;
		}
	}
	return NULL;
}

static enum exit_code load_token(struct args *a, char token[TOKEN_MAX])
{
	const char *given = getenv("IREKO_TOKEN"), *file = getenv("IREKO_TOKEN_FILE");
	int rc = 0;

	if (given && given[0] != '\0')
		rc = snprintf(token, TOKEN_MAX, "%s", given) < TOKEN_MAX ? 0 : -1;
	else
		rc = token_load(file, token);
	if (rc)
		return fail("no token: set IREKO_TOKEN, or log in with ireko login");
	a->rest.token = token;
	return EXIT_FINE;
}

static enum exit_code run(const struct command *c, struct args *a)
{
	char token[TOKEN_MAX] = "";
	enum exit_code rc = EXIT_FINE;

	if (rest_open(&a->rest))
		return fail("no memory");
	if (c->needs_token)
		rc = load_token(a, token);
	if (rc == EXIT_FINE)
		rc = c->run(a);
	rest_close(&a->rest);
	secret_wipe(token, sizeof(token));
	return rc;
}

/* Fills a from the options. Returns: EXIT_FINE, EXIT_USAGE, or -1 when all is done. */
static int parse(int argc, char **argv, struct args *a, int *seen, size_t cap)
{
	size_t n = 0;
	int o;

	opterr = 0;
	while ((o = getopt_long(argc, argv, ":u:p:o:", options, NULL)) != -1) {
		switch (o) {
		case 'u':
			a->user = optarg;
			break;
		case 'p':
			a->protocol = optarg;
			break;
		case 'o':
			a->output = optarg;
			break;
		case OPT_URL:
			a->rest.url = optarg;
			break;
		case OPT_CACERT:
			a->rest.cacert = optarg;
			break;
		case OPT_HELP:
			help();
			return -1;
		case OPT_VERSION:
			printf("ireko %s\n", ireko_version());
			return -1;
		case ':':
			return usage("a value is missing after", argv[optind - 1]);
		default:
			return usage("unknown option", argv[optind - 1]);
		}
		if (n + 1 < cap)
			seen[n++] = o;
	}
	seen[n] = 0;
	return EXIT_FINE;
}

static bool is_url(const char *url)
{
	return strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0;
}

int main(int argc, char **argv)
{
	const char *url = getenv("IREKO_URL");
	struct args a = {.rest = {.url = url && url[0] ? url : "http://127.0.0.1:8080"}};
	const struct command *c;
	char trimmed[256];
	int seen[32], used = 0, rc;

	rc = parse(argc, argv, &a, seen, ARRAY_SIZE(seen));
	if (rc)
		return rc < 0 ? EXIT_FINE : rc;
	if (optind == argc)
		return usage("a command is missing", "");
	c = find(argv + optind, argc - optind, &used);
	if (!c)
		return usage("unknown command", argv[optind]);
	for (size_t i = 0; seen[i]; i++) {
		if (!takes(c, seen[i]))
			return usage(c->words, "does not take one of these options");
	}
	used += optind;
	if (c->operand && used < argc)
		a.name = argv[used++];
	else if (c->operand)
		return usage(c->words, "needs a name");
	if (used < argc)
		return usage("too much:", argv[used]);
	if (!is_url(a.rest.url) ||
		snprintf(trimmed, sizeof(trimmed), "%s", a.rest.url) >= (int)sizeof(trimmed))
		return usage("--url (IREKO_URL) begins with http:// or https://, not", a.rest.url);
	for (size_t n = strlen(trimmed); n > 8 && trimmed[n - 1] == '/'; n--)
		trimmed[n - 1] = '\0';
	a.rest.url = trimmed;
	curl_global_init(CURL_GLOBAL_DEFAULT);
	rc = run(c, &a);
	curl_global_cleanup();
	return rc;
}
