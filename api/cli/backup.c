/*
 * A backup is a download into FILE.part, which gets its name when it is whole: its length and its
 * digest are what the server said. What has the name already is never overwritten.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "api/cli/columns.h"
#include "api/cli/files.h"
#include "api/cli/find.h"
#include "api/cli/nouns.h"
#include "base/codec.h"

enum { STALL_S = 60, NAME_CAP = 256, BAR = 30, SHA256 = 32 };

struct download {
	char name[NAME_CAP], part[NAME_CAP + 8];
	char digest[BASE64_TEXT(SHA256)]; /* what the server says; "": nothing */
	bool named, terminal;
	int fd, err;
	uint64_t got;
	unsigned percent; /* that was drawn last */
	EVP_MD_CTX *md;
};

static void download_fini(struct download *d)
{
	if (d->fd >= 0) {
		close(d->fd);
		unlink(d->part);
	}
	EVP_MD_CTX_free(d->md);
}

/* ---- what the server says ---- */

/* Repr-Digest: sha-256=:...: (RFC 9530). */
static void take_digest(struct download *d, const char *value)
{
	static const char before[] = "sha-256=:";
	const char *at = strstr(value, before);
	size_t n;

	if (!at)
		return;
	at += strlen(before);
	n = strcspn(at, ":");
	if (n < sizeof(d->digest))
		snprintf(d->digest, sizeof(d->digest), "%.*s", (int)n, at);
}

/* Only a plain name may come from outside. */
static void take_name(struct download *d, const char *value)
{
	static const char plain[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";
	const char *at = strstr(value, "filename=\"");
	size_t n;

	if (d->named || !at)
		return;
	at += strlen("filename=\"");
	n = strspn(at, plain);
	if (n > 0 && n < 128 && at[n] == '"' && at[0] != '.' && at[0] != '-')
		snprintf(d->name, sizeof(d->name), "%.*s", (int)n, at);
}

static void on_header(void *arg, const char *name, const char *value)
{
	if (strcasecmp(name, "Repr-Digest") == 0)
		take_digest(arg, value);
	else if (strcasecmp(name, "Content-Disposition") == 0)
		take_name(arg, value);
}

/* ---- what comes ---- */

static int open_part(struct download *d)
{
	snprintf(d->part, sizeof(d->part), "%s.part", d->name);
	d->fd = secret_file_create(d->part);
	return d->fd < 0 ? d->fd : 0;
}

static bool on_data(void *arg, const char *data, size_t n)
{
	struct download *d = arg;

	if (d->fd < 0)
		d->err = open_part(d);
	if (!d->err)
		d->err = write_bytes(d->fd, data, n);
	if (!d->err && EVP_DigestUpdate(d->md, data, n) != 1)
		d->err = -EIO;
	d->got += n;
	return d->err == 0;
}

static void on_progress(void *arg, uint64_t now, uint64_t total)
{
	struct download *d = arg;
	const unsigned percent = total ? (unsigned)(now * 100 / total) : 0;
	char done[24], all[24];

	if (!d->terminal || total == 0 || percent == d->percent)
		return;
	d->percent = percent;
	fprintf(stderr, "\r[%-*.*s] %3u%%  %s of %s ", BAR, (int)(percent * BAR / 100),
		"##############################", percent, columns_bytes(now, done),
		columns_bytes(total, all));
	if (percent == 100)
		fputc('\n', stderr);
}

/* ---- whole ---- */

static bool digest_matches(struct download *d)
{
	uint8_t hash[SHA256];
	char text[BASE64_TEXT(SHA256)];

	if (EVP_DigestFinal_ex(d->md, hash, NULL) != 1)
		return false;
	base64_encode(hash, sizeof(hash), text);
	return strcmp(text, d->digest) == 0;
}

/* link refuses a name that is taken, rename would not. */
static int give_name(struct download *d)
{
	int err = 0;

	if (fsync(d->fd))
		err = -errno;
	if (close(d->fd) && !err)
		err = -errno;
	d->fd = -1;
	if (!err && link(d->part, d->name))
		err = -errno;
	unlink(d->part);
	return err;
}

static enum exit_code finish(const struct args *a, struct download *d)
{
	char size[24];
	int err;

	if (d->fd < 0)
		return fail("backup: the server sent nothing");
	if (d->digest[0] == '\0' || !digest_matches(d))
		return fail("backup: what came is not what was sent (its SHA-256 differs)");
	err = give_name(d);
	if (err)
		return fail("%s: %s", d->name, strerror(-err));
	if (option(a, OPT_JSON)) {
		JSON_OWNED doc = json_pack("{s:s, s:I, s:s}", "file", d->name, "bytes",
			(json_int_t)d->got, "sha256", d->digest);

		print_json(doc);
		return EXIT_FINE;
	}
	tell("%s, %s. It is of use only with the service's master.key, which is not in it.",
		d->name, columns_bytes(d->got, size));
	return EXIT_FINE;
}

static int prepare(const struct args *a, struct download *d)
{
	*d = (struct download){
		.fd = -1, .named = a->n_operands > 0, .terminal = isatty(STDERR_FILENO)};
	snprintf(d->name, sizeof(d->name), "%s", d->named ? a->operand[0] : "ireko-backup.db");
	if (d->named && strlen(a->operand[0]) >= sizeof(d->name))
		return -ENAMETOOLONG;
	/* Before anything is asked for: it would be for nothing. */
	if (d->named && access(d->name, F_OK) == 0)
		return -EEXIST;
	d->md = EVP_MD_CTX_new();
	return d->md && EVP_DigestInit_ex(d->md, EVP_sha256(), NULL) == 1 ? 0 : -ENOMEM;
}

enum exit_code run_backup(struct args *a)
{
	struct download d cleanup(download_fini);
	ANSWER answer = {.status = 0};
	const struct rest_stream s = {
		.accept = "application/vnd.sqlite3",
		.stall_s = STALL_S,
		.on_header = on_header,
		.on_data = on_data,
		.on_progress = on_progress,
		.arg = &d,
	};
	const int err = prepare(a, &d);

	if (err)
		return fail("%s: %s", d.name, strerror(-err));
	if (!rest_follow(&a->rest, "/v1/backup", &s, &answer))
		return fail_rest("backup", &answer);
	if (d.err)
		return fail("%s: %s", d.part, strerror(-d.err));
	return finish(a, &d);
}
