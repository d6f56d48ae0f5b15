#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api/cli/body.h"
#include "api/cli/files.h"
#include "api/cli/find.h"
#include "api/cli/nouns.h"
#include "api/cli/profile.h"

enum { CSR_MAX = 16384 };

static enum exit_code put_csr(const struct args *a, json_t *body)
{
	const char *file = option(a, OPT_CSR);
	char text[CSR_MAX];
	const int n = file_read(file, text, sizeof(text));

	if (n < 0)
		return fail("--csr %s: %s", file,
			n == -EFBIG ? "is too long for a request" : strerror(-n));
	json_object_set_new(body, "csr", json_stringn(text, (size_t)n));
	return EXIT_FINE;
}

/* Which options go together. */
static enum exit_code check(const struct args *a)
{
	const bool openvpn = strcmp(protocol_of(a), "openvpn") == 0;

	if (option(a, OPT_CSR) && !openvpn)
		return fail_usage("--csr goes with --protocol openvpn");
	if (option(a, OPT_PUBLIC_KEY) && openvpn)
		return fail_usage("--public-key goes with --protocol wireguard");
	return EXIT_FINE;
}

static enum exit_code body_of(const struct args *a, json_t *body)
{
	body_put(body, "public_key", option(a, OPT_PUBLIC_KEY));
	body_put_expiry(body, a);
	return option(a, OPT_CSR) ? put_csr(a, body) : EXIT_FINE;
}

static const char *name_in(const char *operand)
{
	const char *slash = strrchr(operand, '/');

	return slash ? slash + 1 : operand;
}

enum exit_code run_credential_issue(struct args *a)
{
	JSON_OWNED body = json_pack("{s:s}", "protocol", protocol_of(a));
	ANSWER made = {.status = 0};
	char id[ID_TEXT], path[PATH_TEXT];
	struct profile p;
	enum exit_code rc = check(a);

	if (rc == EXIT_FINE)
		rc = body_of(a, body);
	if (rc == EXIT_FINE)
		rc = find_device(a, a->operand[0], id);
	if (rc == EXIT_FINE)
		rc = profile_open(&p, a, name_in(a->operand[0]));
	if (rc)
		return rc;
	snprintf(path, sizeof(path), "/v1/devices/%s/credentials", id);
	if (!rest_call(&a->rest, "POST", path, json_incref(body), &made)) {
		profile_cancel(&p);
		return fail_rest("credential issue", &made);
	}
	return profile_put(&p, a, made.doc);
}

/* ---- revoke ---- */

/* Of a device only when it has just one that is not revoked. */
static enum exit_code only_one_of(struct args *a, const char *device, char id[ID_TEXT])
{
	char path[PATH_TEXT];
	ANSWER got = {.status = 0};
	const json_t *one;
	size_t i, n = 0;

	snprintf(path, sizeof(path), "/v1/devices/%s", device);
	if (!rest_call(&a->rest, "GET", path, NULL, &got))
		return fail_rest("credential revoke", &got);
	json_array_foreach(json_object_get(got.doc, "credentials"), i, one)
	{
		if (!json_is_null(json_object_get(one, "revoked_at")))
			continue;
		snprintf(id, ID_TEXT, "%s", rest_text(one, "id"));
		n++;
	}
	if (n == 1)
		return EXIT_FINE;
	if (n > 1)
		return fail("%s has %zu credentials: name one (ireko device show %s)",
			a->operand[0], n, a->operand[0]);
	fail("%s has no credential to revoke", a->operand[0]);
	return EXIT_NOT_FOUND;
}

enum exit_code run_credential_revoke(struct args *a)
{
	char id[ID_TEXT], device[ID_TEXT], path[PATH_TEXT];
	enum exit_code rc = EXIT_FINE;

	if (is_id(a->operand[0], "crd_")) {
		snprintf(id, sizeof(id), "%s", a->operand[0]);
	} else {
		rc = find_device(a, a->operand[0], device);
		if (rc == EXIT_FINE)
			rc = only_one_of(a, device, id);
	}
	if (rc == EXIT_FINE)
		rc = confirm(a, "Revoke credential %s for good?", id);
	if (rc)
		return rc;
	snprintf(path, sizeof(path), "/v1/credentials/%s", id);
	return change(a, "DELETE", path, NULL, "Revoked.");
}
