/* The sending half of a session at the client's end: seals with a key that was set up once, under
 * rising counters. */
#ifndef BENCH_LANE_H
#define BENCH_LANE_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "crypto/aead.h"
#include "ovpn/keys.h"
#include "wg/noise.h"

enum { LANE_OVERHEAD_MAX = 32 + 15 };

struct lane {
	struct aead_key *key;
	uint8_t head[4]; /* what each packet begins with */
	uint8_t iv[8];	 /* OpenVPN */
	uint32_t index;	 /* WireGuard: the receiver's */
	uint64_t counter;
};

/* Returns: 0, -ENOMEM, -EINVAL. */
int lane_wg(struct lane *l, const struct noise_keys *keys, uint32_t their_index) must_check;
int lane_ovpn(struct lane *l, const struct ovpn_data_keys *keys, uint8_t key_id,
	uint32_t peer_id) must_check;
void lane_fini(struct lane *l);

/* out has room for n and LANE_OVERHEAD_MAX. Returns: bytes of the datagram, 0 when it could not be
 * sealed. */
size_t lane_seal(struct lane *l, const uint8_t *inner, size_t n, uint8_t *out) must_check;

#endif
