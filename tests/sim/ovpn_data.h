/*
 * A client's data packets under one key id, in the classic and in the epoch format (reference
 * A14.1, A14.2). For tests and tools: every packet makes its key anew, so any epoch may be sent in
 * and is understood.
 */
#ifndef SIM_OVPN_DATA_H
#define SIM_OVPN_DATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "ovpn/keys.h"

struct ovpn_data {
	struct ovpn_data_keys keys; /* the client's */
	bool epochs;
	uint8_t key_id;
	uint32_t peer_id;
	uint16_t epoch; /* to send in; from 1 */
	uint64_t id;	/* packet id or counter of the next one; from 1 */
	uint16_t heard; /* the greatest epoch that opened, 0: none */
};

/* out has room for n and OVPN_EPOCH_OVERHEAD. Returns: bytes of the packet, 0 when there is no key.
 */
size_t ovpn_data_seal(struct ovpn_data *d, const uint8_t *text, size_t n, uint8_t *out) must_check;
/* Opens in place. Returns: the text and its length, NULL when it is not authentic. */
uint8_t *ovpn_data_open(struct ovpn_data *d, uint8_t *packet, size_t n, size_t *len) must_check;

#endif
