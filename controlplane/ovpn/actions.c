/* A node holds the front of an action as bytes, then as many bytes as are sent. */
#include "ovpn/actions.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"

enum { FRONT = offsetof(struct ovpn_action, bytes) };

struct queued {
	struct queued *next;
	uint64_t session;
	enum ovpn_action_kind kind;
	size_t len;
	uint8_t front[FRONT]; /* may hold keys */
	uint8_t bytes[];
};

void ovpn_action_wipe(struct ovpn_action *a)
{
	secret_wipe(&a->keys, sizeof(a->keys));
}

static struct queued *node_new(size_t len)
{
	return calloc(1, sizeof(struct queued) + len);
}

static void node_free(struct queued *n)
{
	secret_wipe(n->front, sizeof(n->front));
	free(n);
}

static void node_fill(struct queued *n, const struct ovpn_action *a, size_t len)
{
	n->session = a->session;
	n->kind = a->kind;
	n->len = len;
	memcpy(n->front, a, FRONT);
	memcpy(n->bytes, a->bytes, len);
}

static void append(struct actions *q, struct queued *n)
{
	n->next = NULL;
	if (q->last)
		q->last->next = n;
	else
		q->first = n;
	q->last = n;
}

int actions_push(struct actions *q, const struct ovpn_action *a)
{
	struct queued *n = node_new(a->len);

	if (!n)
		return -ENOMEM;
	node_fill(n, a, a->len);
	append(q, n);
	return 0;
}

struct queued *actions_reserve(void)
{
	return node_new(0);
}

void actions_release(struct queued *reserved)
{
	free(reserved);
}

void actions_push_reserved(struct actions *q, struct queued *reserved, const struct ovpn_action *a)
{
	node_fill(reserved, a, 0);
	append(q, reserved);
}

bool actions_pop(struct actions *q, struct ovpn_action *out)
{
	struct queued *n = q->first;

	if (!n)
		return false;
	q->first = n->next;
	if (!q->first)
		q->last = NULL;
	memcpy(out, n->front, FRONT);
	memcpy(out->bytes, n->bytes, n->len);
	out->len = n->len;
	node_free(n);
	return true;
}

static bool stays(const struct queued *n, uint64_t session)
{
	return n->session != session || n->kind == OVPN_ACTION_SEND || n->kind == OVPN_ACTION_CLOSE;
}

void actions_forget(struct actions *q, uint64_t session)
{
	struct queued *n = q->first;

	*q = (struct actions){0};
	while (n) {
		struct queued *next = n->next;

		if (stays(n, session))
			append(q, n);
		else
			node_free(n);
		n = next;
	}
}

void actions_clear(struct actions *q)
{
	while (q->first) {
		struct queued *n = q->first;

		q->first = n->next;
		node_free(n);
	}
	q->last = NULL;
}
