/* The audit log's rows and the ends of its chain. What they mean is the service's business. */
#ifndef DB_AUDIT_STORE_H
#define DB_AUDIT_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "base/ulid.h"

struct db_conn;

enum { AUDIT_NAME = 65, AUDIT_ACTION = 33, AUDIT_KIND = 4, AUDIT_OUTCOME = 9, AUDIT_DETAIL = 161 };
enum audit_via { AUDIT_VIA_NOTHING, AUDIT_VIA_TOKEN, AUDIT_VIA_LOGIN };

struct audit_row {
	uint64_t seq;
	int64_t at; /* Unix ms */
	struct ulid actor_id;
	char actor_name[AUDIT_NAME];
	uint8_t via; /* enum audit_via */
	struct ulid via_id;
	struct ip_addr from;
	char action[AUDIT_ACTION], kind[AUDIT_KIND];
	struct ulid object_id;
	char outcome[AUDIT_OUTCOME], detail[AUDIT_DETAIL];
	uint8_t hash[32];
};

struct audit_head {
	uint64_t first, last; /* no rows: last is first - 1 */
	uint8_t before[32], hash[32];
	uint64_t broken;
	uint8_t mac[32];
	size_t mac_len; /* 0: nothing was written yet */
};

/* Returns: 0, -ENOENT (there always is one: somebody took it away), -EUCLEAN, -errno. */
int audit_head_get(struct db_conn *tx, struct audit_head *out) must_check;
/* Adds or replaces. Returns: 0, -ENOSPC, -errno. */
int audit_head_set(struct db_conn *tx, const struct audit_head *h) must_check;

/* Returns: 0, -EEXIST (the number is taken), -ENOSPC, -errno. */
int audit_insert(struct db_conn *tx, const struct audit_row *r) must_check;
/* At most cap rows with a number above after, oldest first. Returns: how many, -errno. */
int audit_list_up(struct db_conn *tx, uint64_t after, struct audit_row *out, size_t cap) must_check;

/* Only rows of that actor, object, action; zero and "" take all. */
struct audit_filter {
	struct ulid actor, object;
	char kind[AUDIT_KIND]; /* of the object */
	char action[AUDIT_ACTION];
};
/* At most cap rows with a number below before (0: from the newest), newest first.
 * Returns: how many, -errno. */
int audit_list_down(struct db_conn *tx, const struct audit_filter *f, uint64_t before,
	struct audit_row *out, size_t cap) must_check;
/* The greatest number there is, 0 for none. */
int audit_greatest(struct db_conn *tx, uint64_t *seq) must_check;
/* Deletes the rows up to this one. Returns: 0, -errno. */
int audit_delete_upto(struct db_conn *tx, uint64_t seq) must_check;

#endif
