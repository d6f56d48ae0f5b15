#include <stdlib.h>

#include "api/handlers/handlers.h"
#include "crypto/aead.h"
#include "directory/directory.h"
#include "uapi/uapi.h"

const char *protocol_name(uint8_t protocol)
{
	return protocol == DIR_OPENVPN ? "openvpn" : "wireguard";
}

const char *transport_name(uint8_t transport)
{
	return transport == UAPI_TCP ? "tcp" : "udp";
}

json_t *json_tls_version(uint16_t tls)
{
	static const struct {
		uint16_t version;
		const char *name;
	} names[] = {{0x0303, "TLSv1.2"}, {0x0304, "TLSv1.3"}};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (names[i].version == tls)
			return json_string(names[i].name);
	}
	return json_null();
}

json_t *session_json(const struct session_info *s)
{
	return json_pack("{s:o, s:o, s:o, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
		"id", json_id("ses_", &s->id), "device_id", json_id("dev_", &s->device_id),
		"user_id", json_id("usr_", &s->user_id), "protocol", protocol_name(s->protocol),
		"transport", transport_name(s->transport), "cipher",
		aead_cipher_name((enum aead_cipher)s->cipher), "tls_version",
		json_tls_version(s->tls), "endpoint", json_endpoint(&s->endpoint), "started_at",
		json_time(s->started_at), "last_handshake_at", json_time(s->last_handshake_at),
		"rx_bytes", json_counter(s->rx_bytes), "tx_bytes", json_counter(s->tx_bytes),
		"rx_packets", json_counter(s->rx_packets), "tx_packets",
		json_counter(s->tx_packets));
}

static json_t *one(const void *s)
{
	return session_json(s);
}

void handle_session_list(struct request *rq)
{
	struct svc_error e = {.field = ""};
	struct session_info *list = NULL;
	bool more = false;
	size_t n = 0;
	const int rc =
		svc_session_list(rq->service, &rq->actor, &rq->query.page, &list, &n, &more, &e);

	reply_page(rq, rc, &e, &(struct page){list, n, sizeof(*list), more, one});
	free(list);
}

void handle_session_kill(struct request *rq)
{
	struct svc_error e = {.field = ""};
	int rc;

	if (reply_unversioned(&rq->reply, rq->if_match))
		return;
	rc = svc_session_kill(rq->service, &rq->actor, &rq->id, &e);

	if (rc)
		reply_outcome(&rq->reply, rc, &e);
	else
		reply_empty(&rq->reply, 204);
}
