#include "api/memory.h"

#include <jansson.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/secret.h"

/* In front of each piece: how long it is. */
struct header {
	alignas(max_align_t) size_t n;
};

void *memory_alloc(size_t n)
{
	struct header *h;

	if (n > SIZE_MAX - sizeof(*h))
		return NULL;
	h = calloc(1, sizeof(*h) + n);
	if (!h)
		return NULL;
	h->n = n;
	return h + 1;
}

void memory_free(void *p)
{
	struct header *h;

	if (!p)
		return;
	h = (struct header *)p - 1;
	secret_wipe(p, h->n);
	free(h);
}

void memory_adopt_json(void)
{
	json_set_alloc_funcs(memory_alloc, memory_free);
}
