/* Shape, kind and rate of OpenVPN's control packets. */
#include "io/ovpn_admission.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "io/buckets.h"
#include "uapi/uapi.h"
#include "wire/ovpn_wire.h"

enum kind { RESET, OTHER, KINDS };

struct ovpn_admission {
	uint8_t served; /* enum uapi_openvpn */
	struct bucket all[KINDS];
	struct buckets *prefixes;
};

int ovpn_admission_new(struct ovpn_admission **out)
{
	struct ovpn_admission *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return -ENOMEM;
	r = buckets_new(&a->prefixes);
	if (r != 0)
		free(a);
	else
		*out = a;
	return r;
}

void ovpn_admission_free(struct ovpn_admission *a)
{
	if (!a)
		return;
	buckets_free(a->prefixes);
	free(a);
}

void ovpn_admission_serve(struct ovpn_admission *a, uint8_t openvpn)
{
	a->served = openvpn;
}

static bool carries_key(enum ovpn_opcode opcode)
{
	return opcode == OVPN_RESET_CLIENT_V3 || opcode == OVPN_CONTROL_WKC;
}

/* Whether everything has room that must be in it (A3.4, A3.5). */
static bool is_whole(enum ovpn_opcode opcode, const uint8_t *packet, size_t len)
{
	size_t key;

	if (len < OVPN_WRAP_HEAD + 1 || len > UAPI_DATAGRAM_MAX)
		return false;
	if (!carries_key(opcode))
		return true;
	key = (size_t)packet[len - 2] << 8 | packet[len - 1];
	return key >= OVPN_WKC_MIN && key <= OVPN_WKC_MAX && len >= OVPN_WRAP_HEAD + 1 + key;
}

static bool is_served(const struct ovpn_admission *a, enum ovpn_opcode opcode)
{
	if (carries_key(opcode))
		return a->served & UAPI_OPENVPN_V3;
	return opcode == OVPN_RESET_CLIENT_V2 ? a->served & UAPI_OPENVPN_V2 : a->served != 0;
}

static bool take(
	struct ovpn_admission *a, enum kind kind, const struct endpoint *from, uint64_t now)
{
	static const struct bucket_rate rates[] = {
		[RESET] = {OVPN_ADMISSION_RESET_RATE, OVPN_ADMISSION_RESET_BURST},
		[OTHER] = {OVPN_ADMISSION_RATE, OVPN_ADMISSION_BURST},
	};
	const struct bucket_rate all = {OVPN_ADMISSION_ALL, OVPN_ADMISSION_ALL};

	/* What its prefix may not send uses up nothing of what all may. */
	return buckets_take(a->prefixes, &from->addr, (uint8_t)kind, rates[kind], now) &&
	       bucket_take(&a->all[kind], all, now);
}

enum ovpn_admission_outcome ovpn_admission_check(struct ovpn_admission *a, const uint8_t *packet,
	size_t len, const struct endpoint *from, uint64_t now)
{
	enum ovpn_opcode opcode = ovpn_opcode(packet[0]);
	bool reset = opcode == OVPN_RESET_CLIENT_V2 || opcode == OVPN_RESET_CLIENT_V3;

	if (!is_whole(opcode, packet, len))
		return OVPN_ADMISSION_MALFORMED;
	if (!is_served(a, opcode))
		return OVPN_ADMISSION_NOT_CONFIGURED;
	return take(a, reset ? RESET : OTHER, from, now) ? OVPN_ADMISSION_PASS
							 : OVPN_ADMISSION_LIMITED;
}
