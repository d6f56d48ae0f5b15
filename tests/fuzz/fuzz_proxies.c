/*
 * Heads from outside, through the police to whose request they are. Lines of the input are header
 * fields; the first byte chooses who has sent them. Whoever is no trusted proxy is who he is; the
 * answer is never a trusted proxy but the sender; and what stands further left than what has
 * decided it changes nothing.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "api/police.h"
#include "api/proxies.h"

static const struct ip_prefix list[] = {
	{{IP_V4, {10, 0, 0, 2}}, 32},
	{{IP_V4, {192, 0, 2, 0}}, 24},
	{{IP_V6, {0xfd, 0, 0, 1}}, 64},
};
static const struct proxies ours = {list, ARRAY_SIZE(list)};
static const struct ip_addr peers[] = {
	{IP_V4, {10, 0, 0, 2}}, {IP_V6, {0xfd, 0, 0, 1, [15] = 9}}, {IP_V4, {127, 0, 0, 1}}};

static void add(struct head *h, const char *line, size_t n)
{
	const char *colon = memchr(line, ':', n);

	if (!colon)
		return;
	if (h->n_fields < POLICE_FIELDS_MAX)
		h->fields[h->n_fields] = (struct head_field){
			line, colon + 1, (size_t)(colon - line), n - (size_t)(colon - line) - 1};
	h->n_fields++;
}

static struct head read_head(const char *text, size_t n)
{
	struct head h = {.method = "GET",
		.target = "/",
		.target_len = 1,
		.version = "HTTP/1.1",
		.size = n + 32};

	add(&h, "Host:localhost", 14);
	for (const char *p = text, *end = text + n; p < end;) {
		const char *stop = memchr(p, '\n', (size_t)(end - p));

		stop = stop ? stop : end;
		add(&h, p, (size_t)(stop - p));
		p = stop + 1;
	}
	return h;
}

/* As if the client had sent a field more, which stands before all others. */
static void check_left(
	const struct head *h, const struct ip_addr *peer, const struct ip_addr *found)
{
	static const char line[] = "X-Forwarded-For:203.0.113.77, 10.0.0.2, junk";
	struct head longer = *h;
	struct ip_addr again;

	if (h->n_fields >= POLICE_FIELDS_MAX)
		return;
	longer.n_fields = 0;
	add(&longer, line, sizeof(line) - 1);
	memcpy(longer.fields + 1, h->fields, h->n_fields * sizeof(h->fields[0]));
	longer.n_fields += h->n_fields;
	again = proxies_client(&ours, peer, &longer);
	if (!ip_addr_equal(found, &again))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct ip_addr *peer;
	struct admitted admitted;
	struct ip_addr found;
	struct head h;
	const char *why;

	if (size == 0)
		return 0;
	peer = &peers[data[0] % ARRAY_SIZE(peers)];
	h = read_head((const char *)data + 1, size - 1);
	if (police_check(&h, &admitted, &why))
		return 0;
	found = proxies_client(&ours, peer, &h);
	if (!ip_addr_valid(&found) || found.family == IP_NONE)
		abort();
	if (ip_addr_equal(&found, peer))
		return 0;
	if (!admitted.forwarded || !proxies_has(&ours, peer) || proxies_has(&ours, &found))
		abort();
	check_left(&h, peer, &found);
	return 0;
}
