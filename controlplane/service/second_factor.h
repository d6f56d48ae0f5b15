/* Second factors, shared with login.c. */
#ifndef SERVICE_SECOND_FACTOR_H
#define SERVICE_SECOND_FACTOR_H

#include "db/totp_store.h"
#include "service/inside.h"
#include "service/totp.h"

/* In the write transaction of a login: whether the user needs a code, and whether this one (NULL:
 * none) is right; a code that is taken is used up with the commit.
 * Returns: 0, SVC_TOTP_REQUIRED, -errno. */
int second_factor_check(struct service *s, struct db_conn *tx, const struct ulid *user,
	const char *code, struct svc_error *e) must_check;

#endif
