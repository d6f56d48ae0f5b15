/* WireGuard's messages, byte for byte (reference B2). Everything is little-endian. */
#ifndef WIRE_WG_WIRE_H
#define WIRE_WG_WIRE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum wg_type { WG_INITIATION = 1, WG_RESPONSE = 2, WG_COOKIE_REPLY = 3, WG_DATA = 4 };

struct wg_initiation {
	uint8_t type[4];
	uint8_t sender[4];
	uint8_t ephemeral[32];
	uint8_t sealed_static[48];
	uint8_t sealed_timestamp[28];
	uint8_t mac1[16];
	uint8_t mac2[16];
};
struct wg_response {
	uint8_t type[4];
	uint8_t sender[4];
	uint8_t receiver[4];
	uint8_t ephemeral[32];
	uint8_t sealed_empty[16];
	uint8_t mac1[16];
	uint8_t mac2[16];
};
struct wg_cookie_reply {
	uint8_t type[4];
	uint8_t receiver[4];
	uint8_t nonce[24];
	uint8_t sealed_cookie[32];
};
struct wg_data {
	uint8_t type[4];
	uint8_t receiver[4];
	uint8_t counter[8];
	/* sealed packet and 16-byte tag follow */
};
_Static_assert(
	sizeof(struct wg_initiation) == 148 && offsetof(struct wg_initiation, mac1) == 116, "B2");
_Static_assert(sizeof(struct wg_response) == 92 && offsetof(struct wg_response, mac1) == 60, "B2");
_Static_assert(sizeof(struct wg_cookie_reply) == 64 &&
		       offsetof(struct wg_cookie_reply, sealed_cookie) == 32,
	"B2");
_Static_assert(sizeof(struct wg_data) == 16, "B2");

enum {
	WG_DATA_OVERHEAD = 32, /* header and tag */
	WG_DATA_MIN = 32,
	WG_PAD = 16,
	WG_REKEY_AFTER_MS = 120 * 1000,
	WG_REJECT_AFTER_MS = 180 * 1000,
	WG_REKEY_ATTEMPT_MS = 90 * 1000,
	WG_REKEY_TIMEOUT_MS = 5 * 1000,
	WG_REKEY_JITTER_MS = 333,
	WG_KEEPALIVE_MS = 10 * 1000,
	WG_COOKIE_SECRET_MS = 120 * 1000,
	WG_COOKIE_USE_MS = 115 * 1000, /* how long an initiator uses one it got */
	WG_INITIATION_GAP_MS = 20,
};
#define WG_REKEY_AFTER_MESSAGES	 (1ull << 60)
#define WG_REJECT_AFTER_MESSAGES (UINT64_MAX - (1ull << 13))

static inline uint32_t wire_le32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static inline uint64_t wire_le64(const uint8_t *p)
{
	return (uint64_t)wire_le32(p) | (uint64_t)wire_le32(p + 4) << 32;
}
static inline void wire_put_le32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}
static inline void wire_put_le64(uint8_t *p, uint64_t v)
{
	wire_put_le32(p, (uint32_t)v);
	wire_put_le32(p + 4, (uint32_t)(v >> 32));
}

#endif
