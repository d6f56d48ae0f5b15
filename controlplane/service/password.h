/*
 * Password hashes: scrypt (RFC 7914), N=2^15 r=8 p=1, 32 MiB each, which is why at most two are
 * computed at a time and only so many requests may wait for it.
 *
 * The text is "$scrypt$ln=15,r=8,p=1$<salt>$<hash>", so that the cost can rise later.
 */
#ifndef SERVICE_PASSWORD_H
#define SERVICE_PASSWORD_H

#include "base/compiler.h"
#include "db/user_store.h"

struct password_gate;

enum { PASSWORD_AT_ONCE = 2, PASSWORD_WAITING = 16 };
enum password_outcome {
	PASSWORD_OK = 0,
	PASSWORD_WRONG = 1,
	PASSWORD_BUSY, /* too many are waiting */
};

int password_gate_new(struct password_gate **out) must_check;
void password_gate_free(struct password_gate *g);

/* Returns: 0, PASSWORD_BUSY, -EIO, -ENOMEM. */
int password_hash(
	struct password_gate *g, const char *password, char out[USER_PASSWORD]) must_check;
/* text "" or NULL: there is no hash to compare with; takes as long and is wrong.
 * Returns: PASSWORD_OK, PASSWORD_WRONG, PASSWORD_BUSY, -EUCLEAN (not a hash text), -errno. */
int password_verify(struct password_gate *g, const char *text, const char *password) must_check;

#endif
