/* Reading is into one buffer; in a stream its beginning is where a packet begins. */
#include "outer.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "wire/ovpn_wire.h"

#ifndef UDP_GRO
#define UDP_GRO 104
#endif

enum { PACKET_MAX = 2048 };

void outer_init(struct outer *o, int fd)
{
	int type = SOCK_DGRAM;
	socklen_t len = sizeof(type);

	o->fd = fd;
	o->have = 0;
	o->stream = getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM;
}

size_t outer_head(const struct outer *o)
{
	return o->stream ? OUTER_FRAME : 0;
}

void outer_put_head(const struct outer *o, uint8_t *at, size_t packet)
{
	if (o->stream)
		wire_put_be16(at, (uint16_t)packet);
}

int outer_send_raw(const struct outer *o, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;

	while (n > 0) {
		const ssize_t sent = send(o->fd, p, n, MSG_NOSIGNAL);
		if (sent < 0)
			return -errno;
		p += sent;
		n -= (size_t)sent;
	}
	return 0;
}

int outer_send(const struct outer *o, const void *packet, size_t n)
{
	uint8_t bytes[OUTER_FRAME + PACKET_MAX];
	const size_t head = outer_head(o);

	if (n > PACKET_MAX)
		return -EMSGSIZE;
	outer_put_head(o, bytes, n);
	memcpy(bytes + head, packet, n);
	return outer_send_raw(o, bytes, head + n);
}

/* Of the first packet in the buffer, with its head; 0: it is not whole. */
static size_t first_whole(const struct outer *o, size_t at)
{
	if (o->have - at < OUTER_FRAME)
		return 0;
	const size_t n = OUTER_FRAME + wire_be16(o->bytes + at);
	return n <= o->have - at ? n : 0;
}

static void forget(struct outer *o, size_t n)
{
	o->have -= n;
	memmove(o->bytes, o->bytes + n, o->have);
}

static size_t stream_packet(struct outer *o, uint8_t *packet, size_t room)
{
	const size_t whole = first_whole(o, 0), n = whole ? whole - OUTER_FRAME : 0;

	if (n && n <= room)
		memcpy(packet, o->bytes + OUTER_FRAME, n);
	forget(o, whole);
	return n <= room ? n : 0;
}

size_t outer_hear(struct outer *o, uint8_t *packet, size_t room, int ms)
{
	struct pollfd p = {.fd = o->fd, .events = POLLIN};
	size_t whole = o->stream ? stream_packet(o, packet, room) : 0;

	if (whole)
		return whole;
	if (poll(&p, 1, ms) <= 0)
		return 0;
	const ssize_t n = o->stream ? recv(o->fd, o->bytes + o->have, sizeof(o->bytes) - o->have,
					      MSG_DONTWAIT)
				    : recv(o->fd, packet, room, MSG_DONTWAIT);
	if (n <= 0 || !o->stream)
		return n > 0 ? (size_t)n : 0;
	o->have += (size_t)n;
	return stream_packet(o, packet, room);
}

static uint64_t take_stream(struct outer *o, size_t least)
{
	uint64_t taken = 0;
	ssize_t n;

	while ((n = recv(o->fd, o->bytes + o->have, sizeof(o->bytes) - o->have, MSG_DONTWAIT)) >
		0) {
		size_t at = 0, whole;

		o->have += (size_t)n;
		for (; (whole = first_whole(o, at)); at += whole)
			taken += whole >= OUTER_FRAME + least;
		forget(o, at);
	}
	return taken;
}

static uint64_t take_datagrams(struct outer *o, size_t least)
{
	union {
		struct cmsghdr align;
		uint8_t bytes[CMSG_SPACE(sizeof(int))];
	} control;
	uint64_t taken = 0;

	for (;;) {
		struct iovec iov = {o->bytes, OUTER_ROOM};
		struct msghdr m = {.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = control.bytes,
			.msg_controllen = sizeof(control.bytes)};
		const ssize_t len = recvmsg(o->fd, &m, MSG_DONTWAIT);
		if (len <= 0)
			return taken;
		int size = (int)len;
		for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h))
			if (h->cmsg_level == IPPROTO_UDP && h->cmsg_type == UDP_GRO)
				memcpy(&size, CMSG_DATA(h), sizeof(size));
		if (size > 0 && (size_t)size >= least)
			taken += (uint64_t)((len + size - 1) / size);
	}
}

uint64_t outer_take(struct outer *o, size_t least)
{
	return o->stream ? take_stream(o, least) : take_datagrams(o, least);
}
