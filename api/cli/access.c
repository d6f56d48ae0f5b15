/* Login and logout: the password is used once, for a token that is stored. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/cli/files.h"
#include "api/cli/find.h"
#include "api/cli/nouns.h"
#include "base/secret.h"

#define TOTP_REQUIRED "totp-required"

struct typed {
	char text[PASSWORD_MAX];
};

static void typed_wipe(struct typed *t)
{
	secret_wipe(t, sizeof(*t));
}

static enum exit_code store_token(const struct rest_answer *made)
{
	char path[TOKEN_PATH] = "";
	int rc = token_path(path);

	if (rc == 0)
		rc = token_save(rest_text(made->doc, "token"), rest_text(made->doc, "id"));
	if (rc)
		return fail("the token can't be stored: %s", strerror(-rc));
	tell("Logged in. The token is in %s.", path);
	return EXIT_FINE;
}

/* A token that nobody holds any more must not stay valid. It may be another user's, or gone. */
static void drop_token(struct args *a, const char *id)
{
	char path[PATH_TEXT];
	ANSWER gone = {.status = 0};

	if (!is_id(id, "tok_"))
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
		rc = fail_rest("login", &made);
	else
		rc = store_token(&made);
	if (rc == EXIT_FINE)
		drop_token(a, before);
	if (!rest_call(&a->rest, "POST", "/v1/logout", NULL, &ended) && rc == EXIT_FINE)
		rc = fail_rest("logout", &ended);
	return rc;
}

/* totp is "" the first time. body is NULL when the name is not UTF-8. */
static bool ask(struct args *a, const char *user, const char *password, const char *totp,
	struct rest_answer *login)
{
	json_t *body = json_pack("{s:s, s:s}", "username", user, "password", password);

	if (body && totp[0] != '\0')
		json_object_set_new(body, "totp", json_string(totp));
	if (!body) {
		snprintf(login->why, sizeof(login->why), "an argument is not UTF-8");
		login->status = -1;
		return false;
	}
	return rest_call(&a->rest, "POST", "/v1/login", body, login);
}

static bool wants_totp(const struct rest_answer *login)
{
	return login->status == 401 && strstr(rest_text(login->doc, "type"), TOTP_REQUIRED);
}

/* Only by file: what is in an environment is seen by every child. */
static const char *password_file(void)
{
	const char *file = getenv("IREKO_PASSWORD_FILE");

	return file && file[0] ? file : NULL;
}

static int first_secret(char out[PASSWORD_MAX])
{
	const char *file = password_file();

	return file ? password_load(file, out) : password_read("Password", out);
}

bool can_login_once(void)
{
	return password_file() != NULL;
}

enum exit_code login_once(struct args *a)
{
	struct typed password cleanup(typed_wipe) = {.text = ""};
	ANSWER login = {.status = 0};
	int rc = password_load(password_file(), password.text);

	if (rc) {
		fail("no token, and no password in %s (IREKO_PASSWORD_FILE): %s", password_file(),
			rc == -EINVAL ? "it is empty or too long" : strerror(-rc));
		return EXIT_NOT_ALLOWED;
	}
	if (!ask(a, "admin", password.text, "", &login))
		return fail_rest("login as admin with IREKO_PASSWORD_FILE", &login);
	snprintf(a->rest.csrf, sizeof(a->rest.csrf), "%s", rest_text(login.doc, "csrf_token"));
	return EXIT_FINE;
}

void logout_once(struct args *a)
{
	ANSWER ended = {.status = 0};

	/* What was asked for is done by now; a login that stays ends by itself in half an hour. */
	(void)!rest_call(&a->rest, "POST", "/v1/logout", NULL, &ended);
}

enum exit_code run_login(struct args *a)
{
	struct typed password cleanup(typed_wipe) = {.text = ""};
	struct typed totp cleanup(typed_wipe) = {.text = ""};
	ANSWER login = {.status = 0};
	const char *user = option(a, OPT_USER) ? option(a, OPT_USER) : "admin";
	int rc = first_secret(password.text);
	bool ok;

	if (rc)
		return fail("no password: %s",
			rc == -EINVAL ? "it is empty or too long" : strerror(-rc));
	a->rest.token = NULL;
	ok = ask(a, user, password.text, "", &login);
	if (!ok && wants_totp(&login)) {
		rest_answer_fini(&login);
		rc = password_read("One-time code", totp.text);
		if (rc) {
			fail("the account needs a one-time code, and there is none");
			return EXIT_NOT_ALLOWED;
		}
		ok = ask(a, user, password.text, totp.text, &login);
	}
	return ok ? make_token(a, &login) : fail_rest("login", &login);
}

enum exit_code run_logout(struct args *a)
{
	char id[TOKEN_MAX], path[PATH_TEXT];
	ANSWER gone = {.status = 0};
	int rc;

	token_stored_id(id);
	if (!is_id(id, "tok_"))
		return fail("nobody is logged in here");
	snprintf(path, sizeof(path), "/v1/tokens/%s", id);
	/* One that is not valid any more is as good as deleted. */
	if (!rest_call(&a->rest, "DELETE", path, NULL, &gone) && gone.status != 401 &&
		gone.status != 404)
		return fail_rest("logout", &gone);
	rc = token_forget();
	if (rc)
		return fail("the token's file can't be removed: %s", strerror(-rc));
	if (!option(a, OPT_JSON))
		tell("Logged out.");
	return EXIT_FINE;
}
