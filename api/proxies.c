#include "api/proxies.h"

#include <string.h>

bool proxies_has(const struct proxies *p, const struct ip_addr *a)
{
	for (size_t i = 0; i < p->n; i++) {
		if (ip_prefix_contains(&p->list[i], a))
			return true;
	}
	return false;
}

/* "192.0.2.1", "192.0.2.1:5", "2001:db8::1" or "[2001:db8::1]:5". */
static bool entry_address(struct span entry, struct ip_addr *out)
{
	char text[ENDPOINT_TEXT];
	struct endpoint at;

	if (entry.len >= sizeof(text))
		return false;
	memcpy(text, entry.at, entry.len);
	text[entry.len] = '\0';
	if (ip_addr_parse(out, text) == 0)
		return true;
	if (endpoint_parse(&at, text))
		return false;
	*out = at.addr;
	return true;
}

/* Takes the last entry off the list; an empty one is an entry as well. */
static struct span take_last(struct span *list, bool *was_first)
{
	const char *comma = memrchr(list->at, ',', list->len);
	const char *begin = comma ? comma + 1 : list->at;
	const struct span entry = span_trim(begin, (size_t)(list->at + list->len - begin));

	*was_first = !comma;
	list->len = comma ? (size_t)(comma - list->at) : 0;
	return entry;
}

struct ip_addr proxies_client(
	const struct proxies *p, const struct ip_addr *peer, const struct head *h)
{
	size_t hops = 0;

	if (!proxies_has(p, peer))
		return *peer;
	for (size_t i = h->n_fields; i-- > 0;) {
		const struct head_field *f = &h->fields[i];
		struct span list = {f->value, f->value_len};
		bool done = !span_is((struct span){f->name, f->name_len}, "X-Forwarded-For");

		while (!done) {
			struct ip_addr a;

			if (hops++ == PROXIES_HOPS_MAX ||
				!entry_address(take_last(&list, &done), &a))
				return *peer;
			if (!proxies_has(p, &a))
				return a;
		}
	}
	return *peer;
}
