/* Outer sockets: opening, steering, batches. */
#include "io/udp.h"

#include <errno.h>
#include <linux/filter.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/secret.h"
#include "io/outer.h"
#include "wire/ovpn_wire.h"
#include "wire/wg_wire.h"

enum {
	BUFFER = 7 << 20,
	TRY_AGAIN_RUNS = 1000,
};

#ifndef SO_ATTACH_REUSEPORT_CBPF
#define SO_ATTACH_REUSEPORT_CBPF 51
#endif

static int options_set(const struct udp_socket *s)
{
	int r = s->v4 ? outer_set(s->fd, IPPROTO_IP, IP_PKTINFO, 1)
		      : outer_set(s->fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);

	/* A dual-stack socket takes the IPv4 option for what it sends to mapped addresses. */
	if (r == 0)
		r = outer_set(s->fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
	if (r == 0 && !s->v4)
		r = outer_set(s->fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DONT);
	if (r != 0)
		return r;
	/* Without CAP_NET_ADMIN the machine's limit must do. */
	if (outer_set(s->fd, SOL_SOCKET, SO_RCVBUFFORCE, BUFFER) != 0)
		(void)!outer_set(s->fd, SOL_SOCKET, SO_RCVBUF, BUFFER);
	if (outer_set(s->fd, SOL_SOCKET, SO_SNDBUFFORCE, BUFFER) != 0)
		(void)!outer_set(s->fd, SOL_SOCKET, SO_SNDBUF, BUFFER);
	return 0;
}

static int open_one(const struct endpoint *at, struct udp_socket *out, bool shared)
{
	int r;

	out->fd = outer_socket(at, SOCK_DGRAM, shared, &out->v4);
	if (out->fd < 0)
		return out->fd;
	r = options_set(out);
	if (r == 0)
		r = outer_bind(out->fd, at, out->v4);
	if (r != 0)
		udp_close(out);
	return r;
}

/* Sockets of one user may share a port unasked; so first see whether it is free at all. */
static int port_is_free(const struct endpoint *at)
{
	struct udp_socket probe;
	int r = open_one(at, &probe, false);

	if (r == 0)
		udp_close(&probe);
	return r;
}

/* Data datagrams by the lowest byte of the receiver index, or the peer-id, modulo n; a result out
 * of range leaves it to the kernel. */
static int steer(const struct udp_socket *s, uint32_t n)
{
	struct sock_filter code[] = {
		/* WireGuard: type 4, the index after it, its lowest byte first */
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)WG_DATA << 24, 0, 3),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 4),
		BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, n),
		BPF_STMT(BPF_RET | BPF_A, 0),
		/* OpenVPN: DATA_V2 with any key id, the peer-id in the other three bytes */
		BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 27),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OVPN_DATA_V2, 0, 4),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, OVPN_PEER_IDS - 1),
		BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, n),
		BPF_STMT(BPF_RET | BPF_A, 0),
		BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
	};
	const struct sock_fprog program = {ARRAY_SIZE(code), code};

	return setsockopt(s->fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof(program)) ==
			       0
		       ? 0
		       : -errno;
}

int udp_open(const struct endpoint *at, struct udp_socket *out, uint32_t n)
{
	int r = port_is_free(at);
	uint32_t done = 0;

	while (r == 0 && done < n) {
		r = open_one(at, &out[done], n > 1);
		if (r == 0)
			done++;
	}
	if (r == 0 && n > 1) {
		r = steer(&out[0], n);
		if (r != 0) {
			log_warn("udp", "no steering by session: %s", strerror(-r));
			r = UDP_NOT_STEERED;
		}
	}
	for (uint32_t i = 0; r != 0 && i < done; i++)
		udp_close(&out[i]);
	return r;
}

void udp_close(struct udp_socket *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

int udp_gro_set(const struct udp_socket *s, bool on)
{
	return outer_set(s->fd, IPPROTO_UDP, UDP_GRO, on);
}

int udp_gso_probe(const struct udp_socket *s)
{
	int size;
	socklen_t len = sizeof(size);

	return getsockopt(s->fd, IPPROTO_UDP, UDP_SEGMENT, &size, &len) == 0 ? 0 : -errno;
}

int udp_batch_new(struct udp_batch **out, struct offloads *o, size_t cap)
{
	struct udp_batch *b = calloc(1, sizeof(*b));
	bool gro = offloads_has(o, UAPI_OFFLOAD_UDP_GRO);

	if (!b)
		return -ENOMEM;
	b->offloads = o;
	b->cap = cap;
	b->n = gro ? UDP_GRO_BATCH : UDP_BATCH;
	b->room_size = gro ? UDP_GRO_ROOM : (cap + 63) / 64 * 64;
	b->room = aligned_alloc(64, b->n * b->room_size);
	if (!b->room) {
		free(b);
		return -ENOMEM;
	}
	*out = b;
	return 0;
}

void udp_batch_free(struct udp_batch *b)
{
	if (!b)
		return;
	secret_wipe(b->room, b->n * b->room_size);
	free(b->room);
	free(b);
}

/* ---- receiving ---- */

/* Our address that the datagram was sent to. */
static struct ip_addr local_of(struct msghdr *m)
{
	struct ip_addr out = {0};

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof(info));
			if (IN6_IS_ADDR_V4MAPPED(&info.ipi6_addr)) {
				out.family = IP_V4;
				memcpy(out.bytes, &info.ipi6_addr.s6_addr[12], 4);
			} else {
				out.family = IP_V6;
				memcpy(out.bytes, &info.ipi6_addr, 16);
			}
		} else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof(info));
			out.family = IP_V4;
			memcpy(out.bytes, &info.ipi_spec_dst, 4);
		}
	}
	return out;
}

/* How long each datagram of a message is, 0: it is one datagram. */
static uint32_t segment_of(struct msghdr *m)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		int size;

		if (c->cmsg_level != IPPROTO_UDP || c->cmsg_type != UDP_GRO ||
			c->cmsg_len < CMSG_LEN(sizeof(size)))
			continue;
		memcpy(&size, CMSG_DATA(c), sizeof(size));
		return size > 0 ? (uint32_t)size : 0;
	}
	return 0;
}

int udp_receive(struct udp_batch *b, const struct udp_socket *s)
{
	int got;

	b->got = b->next = b->at = 0;
	for (uint32_t i = 0; i < b->n; i++) {
		b->iov[i] = (struct iovec){b->room + i * b->room_size, b->room_size};
		b->msgs[i].msg_hdr = (struct msghdr){
			.msg_name = &b->names[i],
			.msg_namelen = sizeof(b->names[i]),
			.msg_iov = &b->iov[i],
			.msg_iovlen = 1,
			.msg_control = b->control[i].bytes,
			.msg_controllen = UDP_CONTROL,
		};
	}
	got = recvmmsg(s->fd, b->msgs, b->n, MSG_DONTWAIT, NULL);
	if (got < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	b->got = (uint32_t)got;
	return got;
}

/* What the datagrams of the next message have in common. */
static void message_open(struct udp_batch *b, uint8_t listener)
{
	struct msghdr *m = &b->msgs[b->next].msg_hdr;
	uint32_t len = b->msgs[b->next].msg_len;

	b->path = (struct path){.local = local_of(m), .listener = listener};
	b->size = segment_of(m);
	if (b->size == 0 || b->size > len)
		b->size = len;
	/* Nobody knows what of it is whole: it is one that does not fit. */
	if (m->msg_flags & (MSG_TRUNC | MSG_CTRUNC) ||
		endpoint_from_sockaddr(&b->path.remote, m->msg_name) != 0)
		b->msgs[b->next].msg_len = b->size = 0;
}

uint32_t udp_take(struct udp_batch *b, uint8_t listener, struct fwd_packet *p, uint32_t n)
{
	uint32_t taken = 0;

	while (b->next < b->got && taken < n) {
		uint32_t left;

		if (b->at == 0)
			message_open(b, listener);
		left = b->msgs[b->next].msg_len - b->at;
		if (left > b->size)
			left = b->size;
		p[taken++] = (struct fwd_packet){
			.data = b->room + b->next * b->room_size + b->at,
			.len = left <= b->cap ? left : 0,
			.path = b->path,
		};
		b->at += left;
		if (b->at < b->msgs[b->next].msg_len)
			continue;
		b->next++;
		b->at = 0;
	}
	return taken;
}

/* ---- sending ---- */

/* Writes the ancillary data that names the source address. Returns its length. */
static size_t local_put(const struct udp_socket *s, const struct ip_addr *local, uint8_t *control)
{
	struct cmsghdr c = {0};

	if (local->family == IP_NONE || (s->v4 && local->family != IP_V4))
		return 0;
	if (s->v4) {
		struct in_pktinfo info = {0};

		memcpy(&info.ipi_spec_dst, local->bytes, 4);
		c = (struct cmsghdr){CMSG_LEN(sizeof(info)), IPPROTO_IP, IP_PKTINFO};
		memcpy(control, &c, sizeof(c));
		memcpy(control + CMSG_LEN(0), &info, sizeof(info));
		return CMSG_SPACE(sizeof(info));
	} else {
		struct in6_pktinfo info = {0};

		if (local->family == IP_V4) {
			info.ipi6_addr.s6_addr[10] = 0xff;
			info.ipi6_addr.s6_addr[11] = 0xff;
			memcpy(&info.ipi6_addr.s6_addr[12], local->bytes, 4);
		} else {
			memcpy(&info.ipi6_addr, local->bytes, 16);
		}
		c = (struct cmsghdr){CMSG_LEN(sizeof(info)), IPPROTO_IPV6, IPV6_PKTINFO};
		memcpy(control, &c, sizeof(c));
		memcpy(control + CMSG_LEN(0), &info, sizeof(info));
		return CMSG_SPACE(sizeof(info));
	}
}

static void message_set(const struct udp_socket *s, const struct path *path, struct msghdr *m,
	struct sockaddr_storage *name, uint8_t *control)
{
	m->msg_name = name;
	/* To an IPv6 address the kernel refuses to send from an IPv4 socket; outer_sockaddr4 would
	 * make 0.0.0.0 of it, which is this host. */
	m->msg_namelen = s->v4 && path->remote.addr.family == IP_V4
				 ? outer_sockaddr4(&path->remote, name)
				 : endpoint_to_sockaddr6(&path->remote, name);
	m->msg_control = control;
	m->msg_controllen = local_put(s, &path->local, control);
	if (m->msg_controllen == 0)
		m->msg_control = NULL;
}

/* After a failure: true when the same message should be tried once more. An address of ours may
 * have gone since the peer used it; the kernel then chooses another one. */
static bool try_again(struct msghdr *m, int error)
{
	if (error == EINTR)
		return true;
	if (m->msg_controllen == 0 ||
		(error != EINVAL && error != EADDRNOTAVAIL && error != ENETUNREACH))
		return false;
	m->msg_control = NULL;
	m->msg_controllen = 0;
	return true;
}

static struct udp_refused *refused_at(struct udp_batch *b, const struct endpoint *to)
{
	uint32_t last;

	/* The last bytes of an address differ most. */
	memcpy(&last, to->addr.bytes + (to->addr.family == IP_V4 ? 0 : 12), sizeof(last));
	last ^= last >> 16;
	return &b->refused[(last ^ last >> 8 ^ to->port) % ARRAY_SIZE(b->refused)];
}

static bool may_run(struct udp_batch *b, const struct endpoint *to, uint32_t size)
{
	struct udp_refused *r = refused_at(b, to);

	if (!offloads_has(b->offloads, UAPI_OFFLOAD_UDP_GSO) || size == 0)
		return false;
	if (r->left == 0 || size < r->size || !endpoint_equal(&r->to, to))
		return true;
	r->left--;
	return false;
}

/* How many packets from the first on may be one message: the same way, of one length, the last not
 * longer. */
static uint32_t run_len(struct udp_batch *b, const struct fwd_packet *p, uint32_t n)
{
	uint32_t run = 1, bytes = p->len;

	while (run < n && run < UDP_RUN && p[run].len <= p->len && p[run].len > 0 &&
		p[run - 1].len == p->len && bytes + p[run].len <= UDP_RUN_BYTES &&
		path_equal(&p[run].path, &p->path))
		bytes += p[run++].len;
	return run == 1 || may_run(b, &p->path.remote, p->len) ? run : 1;
}

static void segment_put(struct msghdr *m, uint8_t *control, uint32_t size)
{
	const struct cmsghdr c = {CMSG_LEN(sizeof(uint16_t)), IPPROTO_UDP, UDP_SEGMENT};
	const uint16_t value = (uint16_t)size;

	memcpy(control + m->msg_controllen, &c, sizeof(c));
	memcpy(control + m->msg_controllen + CMSG_LEN(0), &value, sizeof(value));
	m->msg_control = control;
	m->msg_controllen += CMSG_SPACE(sizeof(value));
}
_Static_assert(CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(int)) <= UDP_CONTROL,
	"source address, and size of a run");

/* Returns: how many messages the packets are. */
static uint32_t messages_make(
	struct udp_batch *b, const struct udp_socket *s, const struct fwd_packet *p, uint32_t n)
{
	uint32_t m = 0;

	for (uint32_t at = 0; at < n; m++) {
		struct msghdr *h = &b->msgs[m].msg_hdr;
		uint32_t run = run_len(b, &p[at], n - at);

		b->first[m] = at;
		*h = (struct msghdr){.msg_iov = &b->iov[at], .msg_iovlen = run};
		message_set(s, &p[at].path, h, &b->names[m], b->control[m].bytes);
		if (run > 1)
			segment_put(h, b->control[m].bytes, p[at].len);
		for (; run > 0; run--, at++)
			b->iov[at] = (struct iovec){p[at].data, p[at].len};
	}
	b->first[m] = n;
	return m;
}

/* Errors of a run that its datagrams need not have when they are alone. */
static bool may_go_apart(struct udp_batch *b, int error)
{
	switch (error) {
	case EIO: /* no checksums in hardware, before Linux 6.11 */
	case EOPNOTSUPP:
	case ENOPROTOOPT:
		offloads_drop(b->offloads, UAPI_OFFLOAD_UDP_GSO, error);
		return true;
	case EMSGSIZE: /* segments are never sent as fragments */
	case EINVAL:   /* the same, of older kernels */
	case EADDRNOTAVAIL:
	case ENETUNREACH:
		return true;
	default:
		return false;
	}
}

/* A run was refused whose datagrams then went alone: too long for some link on the way, of which
 * whoever is there could have told us. So it is that peer's and nobody else's. */
static void run_refused(struct udp_batch *b, const struct fwd_packet *p)
{
	*refused_at(b, &p->path.remote) =
		(struct udp_refused){p->path.remote, p->len, TRY_AGAIN_RUNS};
}

/* moved: it went from another address than it should. Returns: 0, -errno. */
static int send_alone(const struct udp_socket *s, const struct path *path, const void *bytes,
	size_t len, bool *moved)
{
	struct iovec iov = {(void *)(uintptr_t)bytes, len};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	struct sockaddr_storage name;
	union {
		struct cmsghdr align;
		uint8_t bytes[UDP_CONTROL];
	} control;

	message_set(s, path, &m, &name, control.bytes);
	for (;;) {
		if (sendmsg(s->fd, &m, MSG_DONTWAIT) >= 0)
			return 0;
		if (!try_again(&m, errno))
			return -errno;
		*moved |= m.msg_controllen == 0;
	}
}

/* Returns: how many of a run failed. */
static uint32_t send_apart(struct udp_batch *b, const struct udp_socket *s,
	const struct fwd_packet *p, uint32_t n, int error)
{
	uint32_t failed = 0;
	bool moved = false;

	if (!may_go_apart(b, error))
		return n;
	for (uint32_t i = 0; i < n; i++)
		failed += send_alone(s, &p[i].path, p[i].data, p[i].len, &moved) != 0;
	if (failed == 0 && !moved)
		run_refused(b, p);
	return failed;
}

uint32_t udp_send(
	struct udp_batch *b, const struct udp_socket *s, const struct fwd_packet *p, uint32_t n)
{
	const uint32_t m = messages_make(b, s, p, n);
	uint32_t failed = 0;

	for (uint32_t at = 0; at < m;) {
		int sent = sendmmsg(s->fd, b->msgs + at, m - at, MSG_DONTWAIT);
		uint32_t run = b->first[at + 1] - b->first[at];

		if (sent > 0) {
			at += (uint32_t)sent;
		} else if (errno == EAGAIN) {
			/* the send buffer is full for all of them */
			return failed + n - b->first[at];
		} else if (run > 1 && errno != EINTR) {
			failed += send_apart(b, s, &p[b->first[at]], run, errno);
			at++;
		} else if (!try_again(&b->msgs[at].msg_hdr, errno)) {
			failed++;
			at++;
		}
	}
	return failed;
}

int udp_send_one(const struct udp_socket *s, const struct path *path, const void *bytes, size_t len)
{
	bool moved = false;

	return send_alone(s, path, bytes, len, &moved);
}
