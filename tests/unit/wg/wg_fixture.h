/* What tests of the handshake engine share: a keystore with a chosen key, indices that are watched.
 */
#ifndef WG_FIXTURE_H
#define WG_FIXTURE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/secret.h"
#include "pki/keystore.h"
#include "wg/wg_engine.h"

/* A keystore whose server key is private_key. Ends the program when it can't be had. */
static inline struct keystore *fixture_keystore(const uint8_t private_key[32])
{
	char folder[] = "/tmp/ireko-wg-XXXXXX", file[64];
	struct keystore *ks = NULL;
	uint8_t blob[KEYSTORE_WG_BLOB];

	if (!mkdtemp(folder))
		abort();
	snprintf(file, sizeof(file), "%s/master.key", folder);
	if (keystore_open(&ks, file, true) < 0 ||
		keystore_seal(ks, KEYSTORE_WG_LABEL, private_key, 32, blob) < 0 ||
		keystore_wg_load(ks, blob) < 0)
		abort();
	unlink(file);
	rmdir(folder);
	return ks;
}

/* An index is used, or free, and never both: violations end the program. */
enum { FIXTURE_INDICES = 1 << 16 };
struct fixture_indices {
	uint32_t next;
	size_t live;
	bool none; /* alloc fails */
	uint8_t used[FIXTURE_INDICES];
};

static inline uint32_t fixture_alloc(void *arg, const struct ulid *credential)
{
	struct fixture_indices *ix = arg;

	(void)credential;
	if (ix->none || ix->live == FIXTURE_INDICES - 1)
		return 0;
	do
		ix->next = (ix->next + 1) % FIXTURE_INDICES;
	while (!ix->next || ix->used[ix->next]);
	ix->used[ix->next] = 1;
	ix->live++;
	return ix->next;
}

static inline void fixture_release(void *arg, uint32_t index)
{
	struct fixture_indices *ix = arg;

	if (!index || index >= FIXTURE_INDICES || !ix->used[index])
		abort();
	ix->used[index] = 0;
	ix->live--;
}

static inline struct wg_ops fixture_ops(struct fixture_indices *ix)
{
	return (struct wg_ops){fixture_alloc, fixture_release, ix};
}

static inline struct ulid fixture_id(uint8_t n)
{
	return (struct ulid){.bytes = {[15] = n}};
}

#endif
