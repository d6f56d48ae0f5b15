/* Handshake datagrams between workers and the control plane. */
#include "io/punt.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "uapi/door.h"
#include "uapi/uapi.h"
#include "wire/classify.h"

/* Bytes for datagrams that the control plane has not read: the kernel takes twice that, or what it
 * allows. Some hundredths of a second of a flood, so that a client's packet is not among what is
 * dropped whenever the control plane waits for a processor. */
enum { ROOM = 1 << 20 };

int punt_init(struct punt *p)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0)
		return -errno;
	close(pair[1]);
	p->dead = pair[0];
	p->fd = fcntl(p->dead, F_DUPFD_CLOEXEC, 0);
	if (p->fd < 0) {
		int r = -errno;

		close(p->dead);
		return r;
	}
	return 0;
}

void punt_fini(struct punt *p)
{
	close(p->fd);
	close(p->dead);
}

int punt_attach(struct punt *p, int connection)
{
	const int room = ROOM;

	/* No harm without: the queue is shorter. */
	(void)!setsockopt(connection, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	return dup3(connection, p->fd, O_CLOEXEC) < 0 ? -errno : 0;
}

void punt_detach(struct punt *p)
{
	/* Both numbers are open and differ, so it can only be interrupted. */
	while (dup3(p->dead, p->fd, O_CLOEXEC) < 0 && errno == EINTR)
		;
}

int punt_send(const struct punt *p, const struct path *path, const uint8_t *datagram, size_t len)
{
	uint8_t frame[UAPI_PUNT_MAX];
	struct writer w = writer_init(frame, sizeof(frame));
	const struct uapi_punt m = {.path = *path};
	int r;

	if (len > UAPI_DATAGRAM_MAX)
		return -EMSGSIZE;
	uapi_begin(&w, UAPI_PUNT_MSG, 0);
	uapi_pack_punt(&w, &m);
	writer_bytes(&w, datagram, len);
	r = writer_end(&w);
	return r == 0 ? door_send(p->fd, frame, writer_len(&w)) : r;
}

static bool may_go_out(const uint8_t *datagram, size_t len)
{
	return wire_is_server_handshake(datagram, len) || wire_is_ovpn_occ(datagram, len);
}

int punt_receive(const uint8_t *frame, size_t len, const struct punt_sink *sink)
{
	struct reader r = reader_init(frame, len);
	struct uapi_header h;
	struct uapi_punt m;
	const uint8_t *datagram;
	size_t n;
	int error = uapi_open(&r, &h, UAPI_FROM_CONTROL, UAPI_PUNT, UAPI_READY);

	if (error != 0)
		return error;
	if (h.type != UAPI_REINJECT_MSG)
		return -EPROTO;
	uapi_unpack_punt(&r, &m);
	n = reader_left(&r);
	datagram = reader_view(&r, n);
	if (reader_end(&r) != 0 || !datagram || !may_go_out(datagram, n))
		return -EBADMSG;
	sink->send(sink->arg, &m.path, datagram, n);
	return 0;
}
