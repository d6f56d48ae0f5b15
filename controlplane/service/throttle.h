/*
 * Failed logins of the last 15 minutes, by account name and by the network they come from. The
 * name is counted whether or not there is such an account. Memory is fixed: when a set of the
 * table is full, the entry with the fewest failures goes; which names share a set is a secret, so
 * nobody can push a chosen one out.
 *
 * An attempt is counted before the password is looked at, and taken back when it was right; so
 * parallel attempts can't pass the limit together.
 */
#ifndef SERVICE_THROTTLE_H
#define SERVICE_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "base/ulid.h"

struct throttle;

enum { THROTTLE_WINDOW_S = 900, THROTTLE_ACCOUNT = 10, THROTTLE_NETWORK = 30 };
enum { THROTTLE_GUESS_WINDOW_S = 60, THROTTLE_GUESSES = 30 };
enum throttle_outcome { THROTTLE_OK = 0, THROTTLE_LIMITED = 1 };

struct throttle_attempt {
	uint64_t account, network; /* keys */
	uint32_t at;
	bool told; /* refused, as one before it in this window was */
};

int throttle_new(struct throttle **out) must_check;
void throttle_free(struct throttle *t);

/* Counts an attempt from a /24 or /64. Time is monotonic milliseconds.
 * Returns: THROTTLE_OK with *out, THROTTLE_LIMITED (nothing was counted) with *retry_after_s and
 * out->told. */
int throttle_begin(struct throttle *t, uint64_t now_ms, const char *account,
	const struct ip_addr *from, struct throttle_attempt *out,
	uint32_t *retry_after_s) must_check;
/* The password was right: forgets the account's failures and this attempt; those of the network
 * stay. */
void throttle_succeeded(struct throttle *t, const struct throttle_attempt *a);
/* Counts a password that a user sets for himself: each costs as much as a login, and 100 at once
 * would keep everybody's changes waiting. As many in a window as an account has failures.
 * Returns: THROTTLE_OK, THROTTLE_LIMITED (nothing was counted) with *retry_after_s. */
int throttle_own_password(struct throttle *t, uint64_t now_ms, const struct ulid *user,
	uint32_t *retry_after_s) must_check;
/* Counts somebody who wants to open an invite, from a /24 or /64, before it is looked up.
 * throttle_cancel when it was no guess. Returns: as throttle_begin. */
int throttle_guess(struct throttle *t, uint64_t now_ms, const struct ip_addr *from,
	struct throttle_attempt *out, uint32_t *retry_after_s) must_check;
/* It was not looked at: as if it had not been made. */
void throttle_cancel(struct throttle *t, const struct throttle_attempt *a);

#endif
