/* OpenVPN's packets, byte for byte (reference A1 to A4, A14, A15). Everything is big-endian. */
#ifndef WIRE_OVPN_WIRE_H
#define WIRE_OVPN_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The high five bits of the first byte; the low three are the key id. */
enum ovpn_opcode {
	OVPN_SOFT_RESET = 3,
	OVPN_CONTROL = 4,
	OVPN_ACK = 5,
	OVPN_DATA_V1 = 6,
	OVPN_RESET_CLIENT_V2 = 7,
	OVPN_RESET_SERVER_V2 = 8,
	OVPN_DATA_V2 = 9,
	OVPN_RESET_CLIENT_V3 = 10, /* a wrapped client key follows */
	OVPN_CONTROL_WKC = 11,	   /* the same */
};

enum {
	OVPN_KEY_IDS = 8,
	OVPN_SID = 8, /* bytes of a session id */
	OVPN_PEER_IDS = 1 << 24,
	OVPN_NO_PEER_ID = 0xffffff,
	OVPN_CONTROL_MIN = 14, /* a bare client reset */
	/* tls-crypt: op | sid 8 | packet id 4 | time 4 | tag 32, then the sealed rest (A3.4) */
	OVPN_WRAP_HEAD = 49,
	OVPN_WKC_MIN = 290,
	OVPN_WKC_MAX = 1024,
	/* Data, classic format (A14.1): V2 op, peer-id 3, packet id 4; V1 op, packet id 4; then
	 * the tag and the ciphertext. */
	OVPN_DATA_V2_HEAD = 8,
	OVPN_DATA_V1_HEAD = 5,
	OVPN_TAG = 16,
	OVPN_DATA_V2_OVERHEAD = OVPN_DATA_V2_HEAD + OVPN_TAG,
	OVPN_DATA_V1_OVERHEAD = OVPN_DATA_V1_HEAD + OVPN_TAG,
	/* Epoch format (A14.2): op, peer-id 3, epoch 2, counter 6, ciphertext, tag. */
	OVPN_EPOCH_HEAD = 12,
	OVPN_EPOCH_OVERHEAD = OVPN_EPOCH_HEAD + OVPN_TAG,
	OVPN_EPOCH_FIRST = 1,
	OVPN_EPOCH_LAST = 0xffff,
	OVPN_PING = 16,
	OVPN_OCC_HEAD = 16, /* then the operation */
	OVPN_OCC_EXIT = 6,
	OVPN_OCC = OVPN_OCC_HEAD + 1, /* a message that is nothing but its operation */
	OVPN_FRAME_HEAD = 2,	      /* TCP: length of what follows (A1) */
	OVPN_FRAME_MAX = 2048,
};
#define OVPN_REKEY_AFTER_PACKETS 0xff000000ull
/* What is sent goes up to the packet id before it. The last one there is belongs to the one packet
 * that a dataplane seals for the time after its own end (fwd/seal.h). */
#define OVPN_REJECT_AFTER_PACKETS 0xffffffffull
#define OVPN_GCM_BLOCKS		  (1ull << 36) /* blocks and packets under one AES-GCM key */
#define OVPN_FAILED_OPENS	  (1ull << 35) /* forgeries tried against one key */
/* Epoch and counter of a packet are one number here, as they stand in it. The last counter of an
 * epoch is not used by what is sent, like the last packet id. */
#define OVPN_EPOCH_COUNTER     ((1ull << 48) - 1)
#define OVPN_EPOCH_REKEY_AFTER (0xf000ull << 48) /* from that epoch on there should be new keys */

/* What a data packet says inside instead of an IP packet (A15). */
extern const uint8_t ovpn_ping[OVPN_PING];
extern const uint8_t ovpn_occ[OVPN_OCC_HEAD];

static inline enum ovpn_opcode ovpn_opcode(uint8_t first)
{
	return (enum ovpn_opcode)(first >> 3);
}
static inline uint8_t ovpn_key_id(uint8_t first)
{
	return first & 7;
}
static inline uint8_t ovpn_first(enum ovpn_opcode op, uint8_t key_id)
{
	return (uint8_t)((unsigned)op << 3 | key_id);
}

static inline uint32_t wire_be24(const uint8_t *p)
{
	return (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
}
static inline uint16_t wire_be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t wire_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | wire_be24(p + 1);
}
static inline uint64_t wire_be64(const uint8_t *p)
{
	return (uint64_t)wire_be32(p) << 32 | wire_be32(p + 4);
}
static inline void wire_put_be16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}
static inline void wire_put_be32(uint8_t *p, uint32_t v)
{
	wire_put_be16(p, (uint16_t)(v >> 16));
	wire_put_be16(p + 2, (uint16_t)v);
}
static inline void wire_put_be64(uint8_t *p, uint64_t v)
{
	wire_put_be32(p, (uint32_t)(v >> 32));
	wire_put_be32(p + 4, (uint32_t)v);
}

static inline uint16_t ovpn_epoch(uint64_t counter)
{
	return (uint16_t)(counter >> 48);
}
/* The first counter of an epoch. */
static inline uint64_t ovpn_epoch_first(uint16_t epoch)
{
	return (uint64_t)epoch << 48 | 1;
}

#endif
