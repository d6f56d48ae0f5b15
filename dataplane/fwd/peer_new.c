/* Making peers: control thread only. */
#include "fwd/peer.h"

#include <stdlib.h>
#include <string.h>

struct peer *peer_new(uint32_t id, uint64_t epoch, const struct peer_addrs *a, uint32_t workers)
{
	size_t size = sizeof(struct peer) + workers * sizeof(struct peer_line);
	struct peer *p = aligned_alloc(64, (size + 63) / 64 * 64);
	struct peer_addrs *mine = malloc(sizeof(*mine));

	if (!p || !mine) {
		free(p);
		free(mine);
		return NULL;
	}
	memset(p, 0, size);
	*mine = *a;
	p->id = id;
	p->epoch = epoch;
	p->workers = workers;
	atomic_store(&p->addrs, mine);
	return p;
}

void peer_free(struct peer *p)
{
	free(atomic_load(&p->addrs));
	free(p);
}
