/* Opening the outer sockets. */
#include "sockets.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

enum { TRIES = 20, PAUSE_MS = 50 };
_Static_assert((int)CONFIG_LISTENERS == (int)UDP_LISTENERS, "a listener's number is its index");

void sockets_init(struct sockets *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(s->udp); i++)
		s->udp[i].fd = -1;
	for (size_t i = 0; i < ARRAY_SIZE(s->tcp); i++)
		s->tcp[i] = -1;
}

void sockets_close(struct sockets *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(s->udp); i++)
		udp_close(&s->udp[i]);
	for (size_t i = 0; i < ARRAY_SIZE(s->tcp); i++) {
		if (s->tcp[i] >= 0)
			close(s->tcp[i]);
		s->tcp[i] = -1;
	}
}

bool sockets_try_again(int *tries, int r)
{
	if (r != -EADDRINUSE || *tries >= TRIES)
		return false;
	(*tries)++;
	poll(NULL, 0, PAUSE_MS);
	return true;
}

/* Returns: UDP_STEERED, UDP_NOT_STEERED, -errno. */
static int udp_listener_open(
	struct sockets *s, const struct endpoint *at, uint32_t listener, uint32_t n_workers)
{
	struct udp_socket opened[CONFIG_WORKERS];
	int r = udp_open(at, opened, n_workers);

	for (uint32_t i = 0; r == UDP_STEERED && i < n_workers; i++)
		s->udp[i * UDP_LISTENERS + listener] = opened[i];
	return r;
}

/* The same. The kernel spreads connections by itself. */
static int tcp_listener_open(
	struct sockets *s, const struct endpoint *at, uint32_t listener, uint32_t n_workers)
{
	int opened[CONFIG_WORKERS];
	int r = tcp_open(at, opened, n_workers);

	for (uint32_t i = 0; r == 0 && i < n_workers; i++)
		s->tcp[i * TCP_LISTENERS + listener] = opened[i];
	return r == 0 ? UDP_STEERED : r;
}

static int listener_open(struct sockets *s, const struct listener *l, uint32_t listener,
	uint32_t n_workers, int *tries)
{
	char text[LISTENER_TEXT];
	int r;

	do
		r = l->tcp ? tcp_listener_open(s, &l->at, listener, n_workers)
			   : udp_listener_open(s, &l->at, listener, n_workers);
	while (sockets_try_again(tries, r));
	if (r < 0)
		log_error("main", "not started: %s: %s", listener_format(l, text),
			r == -EADDRINUSE ? "the port is taken" : strerror(-r));
	return r;
}

int sockets_open(struct sockets *s, const struct config *conf, uint32_t *n_workers, int *tries)
{
	for (uint32_t i = 0; i < conf->n_listeners; i++) {
		int r = listener_open(s, &conf->listeners[i], i, *n_workers, tries);

		if (r < 0)
			return r;
		if (r == UDP_NOT_STEERED) {
			log_warn("main", "workers: 1 instead of %u, the kernel does not steer",
				*n_workers);
			sockets_close(s);
			*n_workers = 1;
			return sockets_open(s, conf, n_workers, tries); /* one needs no steering */
		}
	}
	return 0;
}
