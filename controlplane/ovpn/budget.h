/*
 * How many resets of one source are answered without state: enough for a crowd behind one address,
 * too few to make anybody receive many. Nothing is counted globally: whoever floods from many
 * sources uses up theirs, and the table only forgets those who had the fewest answers.
 */
#ifndef OVPN_BUDGET_H
#define OVPN_BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"

enum {
	/* For one source in BUDGET_WINDOW_MS. An answer is shorter than the reset that asks for it
	 * (tls-crypt: 12 bytes longer), so many are no weapon; a whole company behind one address
	 * comes back at once after a restart. */
	BUDGET_ANSWERS = 2000,
	BUDGET_WINDOW_MS = 10 * 1000,
	BUDGET_SETS = 1024,
	BUDGET_WAYS = 8,
};

struct budget;

/* Returns: 0, -ENOMEM, -EIO. */
int budget_new(struct budget **out) must_check;
void budget_free(struct budget *b);
/* Whether one more may be answered; counts it. */
bool budget_take(struct budget *b, const struct ip_addr *from, uint64_t now_ms);

#endif
