/* The ring. */
#include "io/tcp_queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

size_t tcp_queue_room(const struct tcp_queue *q, size_t cap)
{
	/* A ring that something waits in keeps the size that it has. */
	return q->bytes ? q->cap - q->len : cap;
}

int tcp_queue_put(struct tcp_queue *q, size_t cap, const void *bytes, size_t n)
{
	size_t end, first;

	if (n == 0)
		return 0;
	if (!q->bytes) {
		q->bytes = malloc(cap);
		if (!q->bytes)
			return -ENOMEM;
		q->cap = cap;
		q->at = q->len = 0;
	}
	end = (q->at + q->len) % q->cap;
	first = q->cap - end < n ? q->cap - end : n;
	memcpy(q->bytes + end, bytes, first);
	memcpy(q->bytes, (const uint8_t *)bytes + first, n - first);
	q->len += n;
	return 0;
}

size_t tcp_queue_view(const struct tcp_queue *q, struct iovec iov[2])
{
	size_t first = q->cap - q->at < q->len ? q->cap - q->at : q->len;

	if (q->len == 0)
		return 0;
	iov[0] = (struct iovec){q->bytes + q->at, first};
	iov[1] = (struct iovec){q->bytes, q->len - first};
	return first < q->len ? 2 : 1;
}

void tcp_queue_take(struct tcp_queue *q, size_t n)
{
	if (n >= q->len) {
		tcp_queue_drop(q);
		return;
	}
	q->at = (q->at + n) % q->cap;
	q->len -= n;
}

void tcp_queue_drop(struct tcp_queue *q)
{
	free(q->bytes);
	*q = (struct tcp_queue){0};
}
