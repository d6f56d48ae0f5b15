#include "restore.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/secret.h"
#include "base/ulid.h"
#include "db/db.h"
#include "db/meta_store.h"
#include "db/restore.h"
#include "pki/ca.h"
#include "pki/keystore.h"
#include "service/audit.h"

enum { WHY = 128, TEXT = 80 };

static int fail(const char *fmt, ...) printf_like(1, 2);
static int fail(const char *fmt, ...)
{
	va_list ap;

	fputs("ireko-controlplane: --restore: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return -1;
}

int restore_open(const char *file)
{
	/* Not blocking, so that a pipe that nobody writes can be refused. */
	const int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	return fd < 0 ? fail("the file can't be opened: %s", strerror(errno)) : fd;
}

/* Names come from users, and this goes to a terminal. */
static const char *plain(const char *text, char out[TEXT])
{
	size_t n = 0;

	for (; text && *text && n < TEXT - 1; text++)
		out[n++] = (char)((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text);
	out[n] = '\0';
	return out;
}

static void tell(
	void *arg, const char *kind, const struct ulid *id, const char *name, const char *owner)
{
	static const char *const prefixes[][2] = {{"credential", "crd_"}, {"token", "tok_"},
		{"device", "dev_"}, {"user", "usr_"}, {"password", "usr_"}, {"factor", "usr_"},
		{"invite", "inv_"}};
	char text[ULID_TEXT], one[TEXT], other[TEXT];
	const char *prefix = "";
	int *n = arg;

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
		if (strcmp(prefixes[i][0], kind) == 0)
			prefix = prefixes[i][1];
	if ((*n)++ == 0)
		printf("Works again, though it was revoked, disabled, deleted or changed after the "
		       "backup was made:\n");
	printf("  %-10s %s%s %s (of %s)\n", kind, prefix, ulid_format(id, text), plain(name, one),
		plain(owner, other));
}

static void say_what_returned(struct db_restore *r)
{
	int n = 0;
	const int rc = db_restore_returned(r, tell, &n);

	if (rc == -ENOENT)
		printf("There was no database before: what was revoked since the backup is not "
		       "known, and is valid again.\n");
	else if (rc < 0)
		printf("The database before can't be compared: what was revoked since the backup "
		       "is valid again.\n");
	else if (rc == 0)
		printf("Nothing that was revoked since the backup works again.\n");
	else
		printf("Revoke what should stay so, before clients come back.\n");
}

/* Both kinds of long-term key: WireGuard's, and that of the authority. */
static int check_keys(struct db *db, struct keystore *ks, const struct clock *clock)
{
	uint8_t blob[KEYSTORE_WG_BLOB], key[sizeof(blob) - KEYSTORE_SEAL_OVERHEAD];
	struct ca *ca = NULL;
	size_t len = 0;
	int err = meta_get_blob(db, "wg_key", blob, sizeof(blob), &len);

	if (err == -ENOENT)
		return fail("the backup holds no server key");
	if (!err)
		err = keystore_open_blob(ks, KEYSTORE_WG_LABEL, blob, len, key);
	secret_wipe(key, sizeof(key));
	if (!err)
		err = ca_open(&ca, ks, db, clock);
	ca_free(ca);
	if (err == -EBADMSG)
		return fail("the backup was made under another master key");
	return err ? fail("the backup's keys can't be read: %s", strerror(-err)) : 0;
}

/* Before it is anybody's database, so that no restore is without its row. */
static int tell_log(struct db_restore *r, struct keystore *ks, const struct clock *clock)
{
	const int err = audit_restored(
		db_restore_staged(r), ks, clock_real_ms(clock), db_restore_sha256(r));

	return err ? fail("the backup's audit log can't be written: %s", strerror(-err)) : 0;
}

static int refuse(int err, const char *why)
{
	if (err == -EBUSY)
		return fail("the service runs: stop it first");
	return fail("%s", why[0] != '\0' ? why : strerror(-err));
}

int restore_run(const char *data_dir, int fd, struct keystore *ks, const struct clock *clock)
{
	struct db_restore *r;
	char why[WHY] = "";
	int err = db_restore_begin(&r, data_dir, fd, why);

	if (err)
		return refuse(err, why);
	err = check_keys(db_restore_staged(r), ks, clock);
	if (!err)
		err = tell_log(r, ks, clock);
	if (!err) {
		err = db_restore_commit(r, why);
		if (err)
			refuse(err, why);
	}
	if (!err) {
		printf("Restored. The database before is %s/ireko.db.before-restore.\n", data_dir);
		say_what_returned(r);
	}
	db_restore_end(r);
	return err ? -1 : 0;
}
