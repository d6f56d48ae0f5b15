/*
 * Packets in and out of the wrapper. Opening costs a decryption and a tag before anything is
 * believed, because the tag covers the clear tail; what fails leaves no trace in the state.
 */
#include "ovpn/wrap.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/secret.h"
#include "ovpn/ovpn_crypto.h"

/* Offsets in the head (A3.4): op 0, session id 1, packet id 9, time 13, tag 17, tail 49. */
enum { SID = 1, PACKET_ID = 9, TIME = 13, TAG = 17, WINDOW = 64 };
static_assert(TAG + OVPN_MAC == OVPN_WRAP_HEAD, "the tail begins behind the tag");

int ovpn_wrap_global_init(void)
{
	return ovpn_crypto_init();
}

void ovpn_key2_wipe(struct ovpn_key2 *k)
{
	secret_wipe(k, sizeof(*k));
}

void ovpn_key2_mix(
	struct ovpn_key2 *out, const uint8_t exported[OVPN_KEY2], const struct ovpn_key2 *original)
{
	for (size_t i = 0; i < OVPN_KEY2; i++)
		out->bytes[i] = exported[i] ^ original->bytes[i];
}

/* Clients seal with the second half, servers with the first (A4.1): the reverse of data keys. */
void ovpn_wrap_init(struct ovpn_wrap *w, const struct ovpn_key2 *key, enum ovpn_side side,
	uint32_t first_id, uint32_t time)
{
	const uint8_t *servers = key->bytes, *clients = key->bytes + OVPN_KEY2 / 2;
	const uint8_t *seal = side == OVPN_SERVER ? servers : clients;
	const uint8_t *open = side == OVPN_SERVER ? clients : servers;

	*w = (struct ovpn_wrap){.next_id = first_id ? first_id : 1, .time = time};
	memcpy(w->seal_cipher, seal, sizeof(w->seal_cipher));
	memcpy(w->seal_mac, seal + 64, sizeof(w->seal_mac));
	memcpy(w->open_cipher, open, sizeof(w->open_cipher));
	memcpy(w->open_mac, open + 64, sizeof(w->open_mac));
}

void ovpn_wrap_wipe(struct ovpn_wrap *w)
{
	secret_wipe(w, sizeof(*w));
}

int ovpn_wrap_seal(struct ovpn_wrap *w, uint8_t first, const uint8_t sid[OVPN_SID],
	const uint8_t *tail, size_t n, uint8_t *out, size_t cap)
{
	uint8_t head[TAG], tag[OVPN_MAC];

	if (n > OVPN_TAIL_MAX || cap < OVPN_WRAP_HEAD + n)
		return -EMSGSIZE;
	if (w->next_id == 0) /* it wrapped */
		return -EOVERFLOW;
	head[0] = first;
	memcpy(head + SID, sid, OVPN_SID);
	wire_put_be32(head + PACKET_ID, w->next_id);
	wire_put_be32(head + TIME, w->time);
	w->next_id++;
	if (ovpn_hmac(tag, w->seal_mac, head, TAG, tail, n) < 0 ||
		ovpn_ctr(w->seal_cipher, tag, tail, n, out + OVPN_WRAP_HEAD) < 0)
		return -EIO;
	memcpy(out, head, TAG);
	memcpy(out + TAG, tag, OVPN_MAC);
	return (int)(OVPN_WRAP_HEAD + n);
}

/* Of a packet that is authentic (A3.6). A later time starts anew, an earlier one is over. */
static bool replayed(struct ovpn_wrap *w, uint32_t id, uint32_t time)
{
	const uint64_t value = (uint64_t)time << 32 | id;
	const bool same_time = time == w->greatest >> 32;

	if (value > w->greatest) {
		const uint64_t ahead = value - w->greatest;

		w->window = same_time && ahead < WINDOW ? w->window << ahead | 1 : 1;
		w->greatest = value;
		return false;
	}
	const uint64_t behind = w->greatest - value;

	if (!same_time || behind >= WINDOW || w->window >> behind & 1)
		return true;
	w->window |= 1ull << behind;
	return false;
}

int ovpn_wrap_open(struct ovpn_wrap *w, const uint8_t *packet, size_t n, bool check_replay,
	uint8_t *buf, struct ovpn_opened *out)
{
	struct ovpn_opened o = {.tail = buf};
	uint8_t tag[OVPN_MAC];
	int rc = -EIO;

	if (n <= OVPN_WRAP_HEAD || n - OVPN_WRAP_HEAD > OVPN_TAIL_MAX)
		return -EMSGSIZE;
	o.tail_len = n - OVPN_WRAP_HEAD;
	if (ovpn_ctr(w->open_cipher, packet + TAG, packet + OVPN_WRAP_HEAD, o.tail_len, buf) < 0 ||
		ovpn_hmac(tag, w->open_mac, packet, TAG, buf, o.tail_len) < 0)
		goto out;
	rc = -EBADMSG;
	if (!secret_equal(tag, packet + TAG, OVPN_MAC))
		goto out;
	o.first = packet[0];
	memcpy(o.sid, packet + SID, OVPN_SID);
	o.packet_id = wire_be32(packet + PACKET_ID);
	o.time = wire_be32(packet + TIME);
	rc = -EALREADY;
	if (o.packet_id == 0 || (check_replay && replayed(w, o.packet_id, o.time)))
		goto out;
	*out = o;
	rc = 0;
out:
	if (rc < 0) /* nobody may use what was not authenticated */
		secret_wipe(buf, o.tail_len);
	return rc;
}
