#include "api/cli/command.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api/cli/files.h"
#include "base/secret.h"

enum { PATH_TEXT = 160 };

static void answer_fini(struct rest_answer *a)
{
	rest_answer_fini(a);
}
#define ANSWER struct rest_answer cleanup(answer_fini)

enum exit_code fail(const char *fmt, ...)
{
	va_list ap;

	fputs("ireko: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return EXIT_FAILED;
}

/* ---- login ---- */

static enum exit_code store_token(const struct rest_answer *made)
{
	char path[TOKEN_PATH] = "";
	int rc = token_path(path);

	if (rc == 0)
		rc = token_save(rest_text(made->doc, "token"), rest_text(made->doc, "id"));
	if (rc)
		return fail("the token can't be stored: %s", strerror(-rc));
	printf("Logged in. The token is in %s.\n", path);
	return EXIT_FINE;
}

/* A token that nobody holds any more must not stay valid. It may be another user's, or gone. */
static void drop_token(struct args *a, const char *id)
{
	char path[PATH_TEXT];
	ANSWER gone = {.status = 0};

	if (id[0] == '\0' || strspn(id, "tok_0123456789ABCDEFGHJKMNPQRSTVWXYZ") != strlen(id))
		return;
	snprintf(path, sizeof(path), "/v1/tokens/%s", id);
	(void)!rest_call(&a->rest, "DELETE", path, NULL, &gone);
}

/* The login lives for as long as it takes to make the token. */
static enum exit_code make_token(struct args *a, const struct rest_answer *login)
{
	char host[64] = "", name[80], before[TOKEN_MAX];
	ANSWER made = {.status = 0};
	ANSWER ended = {.status = 0};
	enum exit_code rc;

	token_stored_id(before);
	gethostname(host, sizeof(host) - 1);
	snprintf(name, sizeof(name), "cli@%.58s", host);
	snprintf(a->rest.csrf, sizeof(a->rest.csrf), "%s", rest_text(login->doc, "csrf_token"));
	if (!rest_call(&a->rest, "POST", "/v1/tokens", json_pack("{s:s}", "name", name), &made))
		rc = fail("login: %s", made.why);
	else
		rc = store_token(&made);
	if (rc == EXIT_FINE)
		drop_token(a, before);
	if (!rest_call(&a->rest, "POST", "/v1/logout", NULL, &ended) && rc == EXIT_FINE)
		rc = fail("logout: %s", ended.why);
	return rc;
}

static enum exit_code run_login(struct args *a)
{
	const char *user = a->user ? a->user : "admin";
	char password[PASSWORD_MAX] = "";
	ANSWER login = {.status = 0};
	json_t *body;
	int rc = password_read("Password", password);

	if (rc == 0) {
		body = json_pack("{s:s, s:s}", "username", user, "password", password);
		secret_wipe(password, sizeof(password));
		if (!body)
			return fail("login: an argument is not UTF-8");
		a->rest.token = NULL;
		if (!rest_call(&a->rest, "POST", "/v1/login", body, &login))
			return fail("login: %s", login.why);
		return make_token(a, &login);
	}
	secret_wipe(password, sizeof(password));
	return fail("no password: %s", rc == -EINVAL ? "it is empty or too long" : strerror(-rc));
}

/* ---- device add ---- */

/* Writes the id of the user with that name, or of the token's own. */
static enum exit_code find_user(struct args *a, char id[64])
{
	char path[PATH_TEXT] = "/v1/users?limit=500";
	ANSWER me = {.status = 0};

	if (!a->user) {
		if (!rest_call(&a->rest, "GET", "/v1/me", NULL, &me))
			return fail("%s", me.why);
		snprintf(id, 64, "%s", rest_text(json_object_get(me.doc, "user"), "id"));
		return EXIT_FINE;
	}
	for (;;) {
		ANSWER page = {.status = 0};
		const json_t *user;
		size_t i;

		if (!rest_call(&a->rest, "GET", path, NULL, &page))
			return fail("%s", page.why);
		json_array_foreach(json_object_get(page.doc, "items"), i, user)
		{
			if (strcmp(rest_text(user, "name"), a->user) == 0 ||
				strcmp(rest_text(user, "id"), a->user) == 0) {
				snprintf(id, 64, "%s", rest_text(user, "id"));
				return EXIT_FINE;
			}
		}
		if (rest_text(page.doc, "next_cursor")[0] == '\0')
			return fail("there is no user %s", a->user);
		snprintf(path, sizeof(path), "/v1/users?limit=500&cursor=%s",
			rest_text(page.doc, "next_cursor"));
	}
}

static const char *protocol_of(const struct args *a)
{
	return a->protocol ? a->protocol : "wireguard";
}

/* A device without a credential is of no use: it goes again. */
static enum exit_code issue(
	struct args *a, const char *device, const char *protocol, struct rest_answer *credential)
{
	ANSWER gone = {.status = 0};
	char path[PATH_TEXT];

	snprintf(path, sizeof(path), "/v1/devices/%s/credentials", device);
	if (rest_call(&a->rest, "POST", path, json_pack("{s:s}", "protocol", protocol), credential))
		return EXIT_FINE;
	snprintf(path, sizeof(path), "/v1/devices/%s", device);
	if (rest_call(&a->rest, "DELETE", path, NULL, &gone))
		return fail("credential: %s", credential->why);
	return fail("credential: %s; device %s stays without one", credential->why, device);
}

static enum exit_code create(struct args *a, struct rest_answer *credential)
{
	ANSWER device = {.status = 0};
	char user[64] = "";
	json_t *body;

	if (find_user(a, user))
		return EXIT_FAILED;
	body = json_pack("{s:s, s:s}", "user_id", user, "name", a->name);
	if (!body)
		return fail("device: the name is not UTF-8");
	if (!rest_call(&a->rest, "POST", "/v1/devices", body, &device))
		return fail("device: %s", device.why);
	return issue(a, rest_text(device.doc, "id"), protocol_of(a), credential);
}

/* What the server calls it, as long as that is a plain name in this folder. */
static const char *plain_name(const char *name)
{
	return name[0] == '\0' || name[0] == '.' || strchr(name, '/') ? NULL : name;
}

static void say_how(const char *protocol, const char *path)
{
	const char *here = strchr(path, '/') ? "" : "./";

	printf("The profile is in %s. It is given only this once.\n", path);
	if (strcmp(protocol, "openvpn") == 0)
		printf("Use it here:       openvpn --config %s%s\n"
		       "or elsewhere:      import the file in an OpenVPN app\n",
			here, path);
	else
		printf("Use it here:       wg-quick up %s%s\n"
		       "or as a QR code:   qrencode -t ansiutf8 < %s\n",
			here, path, path);
}

static enum exit_code write_profile(int fd, const char *path, const struct rest_answer *credential)
{
	const int rc = write_all(fd, rest_text(credential->doc, "profile"));

	if (fd == STDOUT_FILENO)
		return rc ? fail("stdout: %s", strerror(-rc)) : EXIT_FINE;
	if (close(fd) || rc)
		return fail("%s: %s", path, strerror(rc ? -rc : errno));
	say_how(rest_text(credential->doc, "protocol"), path);
	return EXIT_FINE;
}

/* The file is there before anything is made on the server: what can't be written is not asked for,
 * and what exists is never overwritten. */
static enum exit_code run_device_add(struct args *a)
{
	const bool to_stdout = a->output && strcmp(a->output, "-") == 0;
	char guess[256];
	const char *path = a->output ? a->output : guess, *name;
	ANSWER credential = {.status = 0};
	enum exit_code rc;
	int fd = STDOUT_FILENO;

	snprintf(guess, sizeof(guess), "%s.%s", a->name,
		strcmp(protocol_of(a), "openvpn") == 0 ? "ovpn" : "conf");
	if (!a->output && !plain_name(guess))
		return fail("%s is no file name, --output says where to write", guess);
	if (!to_stdout)
		fd = secret_file_create(path);
	if (fd < 0)
		return fail("%s: %s", path, strerror(-fd));
	rc = create(a, &credential);
	if (rc) {
		if (!to_stdout)
			unlink(path);
		return rc;
	}
	/* wg-quick names the interface after the file, so the server may have shortened it. */
	name = plain_name(rest_text(credential.doc, "profile_filename"));
	if (!a->output && name && strcmp(name, guess) != 0) {
		if (link(guess, name) == 0 && unlink(guess) == 0)
			path = name;
	}
	return write_profile(fd, path, &credential);
}

/* ---- status ---- */

static long long number(const json_t *doc, const char *name)
{
	return (long long)json_integer_value(json_object_get(doc, name));
}

static enum exit_code run_status(struct args *a)
{
	ANSWER st = {.status = 0};
	const json_t *dp, *count;
	const char *name;

	if (!rest_call(&a->rest, "GET", "/v1/status", NULL, &st))
		return fail("%s", st.why);
	dp = json_object_get(st.doc, "dataplane");
	printf("control plane  %s, up %lld s, database %s\n", rest_text(st.doc, "version"),
		number(st.doc, "uptime_s"),
		json_is_true(json_object_get(json_object_get(st.doc, "database"), "ok"))
			? "ok"
			: "broken");
	if (!json_is_true(json_object_get(dp, "connected"))) {
		printf("dataplane      not connected\n");
		return EXIT_FAILED;
	}
	printf("dataplane      %s, up %lld s, %s, %lld workers\n", rest_text(dp, "version"),
		number(dp, "uptime_s"), rest_text(dp, "tun"), number(dp, "workers"));
	printf("peers          %lld, %lld with a session\n", number(dp, "peers"),
		number(dp, "sessions"));
	printf("received       %lld bytes, %lld packets\n", number(dp, "rx_bytes"),
		number(dp, "rx_packets"));
	printf("sent           %lld bytes, %lld packets\n", number(dp, "tx_bytes"),
		number(dp, "tx_packets"));
	json_object_foreach(json_object_get(dp, "drops"), name, count)
	{
		if (json_integer_value(count) > 0)
			printf("dropped        %lld %s\n", (long long)json_integer_value(count),
				name);
	}
	return EXIT_FINE;
}

const struct command commands[] = {
	{"login", NULL, "u", "log in and store a token", false, run_login},
	{"device add", "NAME", "upo", "make a device and its profile", true, run_device_add},
	{"status", NULL, "", "show how the service is", true, run_status},
};
const size_t n_commands = ARRAY_SIZE(commands);
