#include "service/audit_chain.h"

#include <errno.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/secret.h"
#include "pki/keystore.h"

enum { ROW_BYTES = 1024, HEAD_BYTES = 128, BATCH = 128 };

static const char row_label[] = "ireko audit row 1";
static const char head_label[] = "audit head 1";

/* With its length before it, so that no two rows have the same bytes. */
static void put(struct writer *w, const void *p, size_t n)
{
	writer_u32(w, (uint32_t)n);
	writer_bytes(w, p, n);
}

static void put_text(struct writer *w, const char *text)
{
	put(w, text, strlen(text));
}

int audit_chain_hash(const uint8_t before[32], const struct audit_row *r, uint8_t out[32])
{
	uint8_t buf[ROW_BYTES];
	struct writer w = writer_init(buf, sizeof(buf));

	put(&w, row_label, sizeof(row_label));
	put(&w, before, 32);
	writer_u64(&w, r->seq);
	writer_u64(&w, (uint64_t)r->at);
	put(&w, r->actor_id.bytes, sizeof(r->actor_id.bytes));
	put_text(&w, r->actor_name);
	writer_u8(&w, r->via);
	put(&w, r->via_id.bytes, sizeof(r->via_id.bytes));
	put(&w, r->from.bytes, ip_addr_size(&r->from));
	put_text(&w, r->action);
	put_text(&w, r->kind);
	put(&w, r->object_id.bytes, sizeof(r->object_id.bytes));
	put_text(&w, r->outcome);
	put_text(&w, r->detail);
	if (writer_end(&w) || !SHA256(buf, writer_len(&w), out))
		return -EIO;
	return 0;
}

static int head_mac(struct keystore *ks, const struct audit_head *h, uint8_t out[32])
{
	uint8_t buf[HEAD_BYTES];
	struct writer w = writer_init(buf, sizeof(buf));

	writer_u64(&w, h->first);
	writer_bytes(&w, h->before, sizeof(h->before));
	writer_u64(&w, h->last);
	writer_bytes(&w, h->hash, sizeof(h->hash));
	writer_u64(&w, h->broken);
	if (writer_end(&w))
		return -EIO;
	return keystore_mac(ks, head_label, buf, writer_len(&w), out);
}

int audit_chain_seal(struct keystore *ks, struct audit_head *h)
{
	h->mac_len = sizeof(h->mac);
	return head_mac(ks, h, h->mac);
}

bool audit_chain_genuine(struct keystore *ks, const struct audit_head *h)
{
	uint8_t mac[32];

	if (h->mac_len == 0)
		return h->first == 1 && h->last == 0 && h->broken == 0;
	return h->mac_len == sizeof(mac) && head_mac(ks, h, mac) == 0 &&
	       secret_equal(mac, h->mac, sizeof(mac));
}

static void break_at(struct audit_walk *w, uint64_t seq)
{
	if (!w->broken)
		w->broken = seq;
}

/* After a row that is wrong it goes on from what is there, so that all rows are counted. */
static int step(struct audit_walk *w, const struct audit_row *r)
{
	uint8_t hash[32];
	int err = audit_chain_hash(w->hash, r, hash);

	if (err)
		return err;
	if (r->seq != w->next)
		break_at(w, r->seq < w->next ? r->seq : w->next);
	else if (!secret_equal(hash, r->hash, sizeof(hash)))
		break_at(w, r->seq);
	memcpy(w->hash, r->hash, sizeof(w->hash));
	w->next = r->seq + 1;
	w->rows++;
	return 0;
}

/* Returns: rows taken (less than n: the next one is not old enough), -errno. */
static int step_all(struct audit_walk *w, const struct audit_row *rows, int n, int64_t older_than)
{
	for (int i = 0; i < n; i++) {
		int err = rows[i].at < older_than ? step(w, &rows[i]) : 0;

		if (err)
			return err;
		if (rows[i].at >= older_than)
			return i;
	}
	return n;
}

int audit_chain_walk(struct db_conn *tx, struct audit_walk *w, uint64_t most, int64_t older_than)
{
	struct audit_row *rows = calloc(BATCH, sizeof(*rows));
	uint64_t after = 0; /* rows below the first are not ours either */
	size_t cap = BATCH;
	int err = rows ? 0 : -ENOMEM, got = 1, n = 1;

	while (!err && most > 0 && got > 0 && n == got) {
		got = audit_list_up(tx, after, rows, most < cap ? (size_t)most : cap);
		if (got == -EUCLEAN) {
			/* A value that we never write: find the row that has it. */
			if (cap == 1)
				break_at(w, w->next);
			got = n = cap > 1;
			cap = 1;
			continue;
		}
		n = got < 0 ? got : step_all(w, rows, got, older_than);
		err = n < 0 ? n : 0;
		if (n > 0) {
			after = rows[n - 1].seq;
			most -= (uint64_t)n;
		}
	}
	free(rows);
	return err;
}
