/* The database as a file. */
#include <stdio.h>
#include <string.h>

#include "api/handlers/handlers.h"

static void on_done(void *service)
{
	svc_backup_end(service);
}

/* "ireko-20260102T030405Z.db": sorts by time, and is a name on every system. */
static void name_of(int64_t made_at, char *out, size_t cap)
{
	char text[CLOCK_TEXT];
	const char *t = clock_format_ms(made_at, text);

	snprintf(out, cap, "ireko-%.4s%.2s%.2sT%.2s%.2s%.2sZ.db", t, t + 5, t + 8, t + 11, t + 14,
		t + 17);
}

void handle_backup(struct request *rq)
{
	struct svc_error e = {.field = ""};
	struct reply_file f = {.is = true, .done = on_done, .arg = rq->service};
	struct svc_backup b;
	const int rc = svc_backup_begin(rq->service, &rq->actor, &b, &e);

	if (rc) {
		reply_outcome(&rq->reply, rc, &e);
		return;
	}
	f.fd = b.fd;
	f.len = b.size;
	memcpy(f.sha256, b.sha256, sizeof(f.sha256));
	name_of(b.made_at, f.name, sizeof(f.name));
	reply_with_file(&rq->reply, "application/vnd.sqlite3", &f);
}
