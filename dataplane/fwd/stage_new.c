/* Making and wiping stages: control thread only. */
#include "fwd/stage.h"

#include <errno.h>
#include <stdlib.h>

#include "base/secret.h"

int stage_init(struct stage *s, uint32_t worker, uint32_t slots, uint32_t mtu_max)
{
	*s = (struct stage){.worker = worker, .mtu_max = mtu_max, .n_slots = slots};
	s->slots = calloc(slots ? slots : 1, sizeof(s->slots[0]));
	s->bytes = calloc(slots ? slots : 1, mtu_max);
	if (!s->slots || !s->bytes)
		return -ENOMEM; /* the caller's fini frees */
	for (uint32_t i = 0; i < slots; i++)
		s->slots[i].next = i + 1;
	return 0;
}

void stage_fini(struct stage *s)
{
	if (s->bytes)
		secret_wipe(s->bytes, (size_t)s->n_slots * s->mtu_max);
	free(s->bytes);
	free(s->slots);
}
