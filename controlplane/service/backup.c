#include <errno.h>
#include <openssl/evp.h>
#include <unistd.h>

#include "base/log.h"
#include "db/backup.h"
#include "service/audit.h"
#include "service/inside.h"

enum { LIMIT_MS = 60000, RETRY_S = 10, PIECE = 64 * 1024 };

static int hash_file(int fd, EVP_MD_CTX *md)
{
	unsigned char piece[PIECE];
	off_t at = 0;
	ssize_t n;

	while ((n = pread(fd, piece, sizeof(piece), at)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (EVP_DigestUpdate(md, piece, (size_t)n) != 1)
			return -EIO;
		at += n;
	}
	return 0;
}

static int sha256_of(int fd, uint8_t out[32])
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	int err = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 ? 0 : -ENOMEM;

	if (!err)
		err = hash_file(fd, md);
	if (!err && EVP_DigestFinal_ex(md, out, NULL) != 1)
		err = -EIO;
	EVP_MD_CTX_free(md);
	return err;
}

/* First, so that it is known who could read everything, whatever comes of the sending; and the copy
 * has the row as well. */
static int note(struct service *s, const struct svc_actor *a, struct svc_error *e)
{
	struct db_conn *tx cleanup(db_end) = NULL;
	struct svc_actor me;
	int err = db_write(s->db, &tx);

	if (!err)
		err = access_refresh(tx, a, &me, e);
	if (!err && me.role != SVC_ROLE_ADMIN)
		err = refuse(e, SVC_FORBIDDEN, "", "only an admin takes backups");
	if (!err)
		err = audit_add(tx, s, &me, &(struct audit_event){.action = "backup.make"});
	return err ? err : db_commit(&tx);
}

static int make(struct service *s, struct svc_backup *out)
{
	int err = db_backup(s->db, &s->conf.clock, LIMIT_MS, &out->fd, &out->size);

	if (err)
		return err;
	err = sha256_of(out->fd, out->sha256);
	if (err)
		close(out->fd);
	return err;
}

int svc_backup_begin(
	struct service *s, const struct svc_actor *a, struct svc_backup *out, struct svc_error *e)
{
	int err;

	*out = (struct svc_backup){.fd = -1};
	if (a->role != SVC_ROLE_ADMIN)
		return refuse(e, SVC_FORBIDDEN, "", "only an admin takes backups");
	if (atomic_flag_test_and_set(&s->backup)) {
		err = refuse(e, SVC_RATE_LIMITED, "", "another backup is under way");
		if (e)
			e->retry_after_s = RETRY_S;
		return err;
	}
	out->made_at = service_now(s);
	err = note(s, a, e);
	if (!err)
		err = make(s, out);
	if (err)
		atomic_flag_clear(&s->backup);
	if (err == -ETIMEDOUT)
		return refuse(e, SVC_UNAVAILABLE, "", "the copy took longer than a minute");
	if (!err)
		log_info("backup", "%s: %llu bytes", a->user_name, (unsigned long long)out->size);
	return answer(err, e);
}

void svc_backup_end(struct service *s)
{
	atomic_flag_clear(&s->backup);
}
