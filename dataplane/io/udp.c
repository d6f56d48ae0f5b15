/* Outer sockets: opening, steering, batches. */
#include "io/udp.h"

#include <errno.h>
#include <linux/filter.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "io/outer.h"
#include "wire/ovpn_wire.h"
#include "wire/wg_wire.h"

enum { BUFFER = 7 << 20 };

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

/* Data datagrams by receiver index or peer-id modulo n; a result out of range leaves it to the
 * kernel. */
static int steer(const struct udp_socket *s, uint32_t n)
{
	struct sock_filter code[] = {
		/* WireGuard: type 4, the index after it */
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)WG_DATA << 24, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 4),
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

int udp_receive(struct udp_batch *b, const struct udp_socket *s, uint8_t listener,
	struct fwd_packet *p, uint32_t n, size_t cap)
{
	int got;

	for (uint32_t i = 0; i < n; i++) {
		b->iov[i] = (struct iovec){p[i].data, cap};
		b->msgs[i].msg_hdr = (struct msghdr){
			.msg_name = &b->names[i],
			.msg_namelen = sizeof(b->names[i]),
			.msg_iov = &b->iov[i],
			.msg_iovlen = 1,
			.msg_control = b->control[i].bytes,
			.msg_controllen = UDP_CONTROL,
		};
	}
	got = recvmmsg(s->fd, b->msgs, n, MSG_DONTWAIT, NULL);
	if (got < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	for (int i = 0; i < got; i++) {
		struct msghdr *m = &b->msgs[i].msg_hdr;
		bool whole = !(m->msg_flags & MSG_TRUNC);

		p[i].path = (struct path){.local = local_of(m), .listener = listener};
		if (endpoint_from_sockaddr(&p[i].path.remote, m->msg_name) != 0)
			whole = false;
		p[i].len = whole ? b->msgs[i].msg_len : 0;
	}
	return got;
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

uint32_t udp_send(
	struct udp_batch *b, const struct udp_socket *s, const struct fwd_packet *p, uint32_t n)
{
	uint32_t failed = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct msghdr *m = &b->msgs[i].msg_hdr;

		b->iov[i] = (struct iovec){p[i].data, p[i].len};
		*m = (struct msghdr){.msg_iov = &b->iov[i], .msg_iovlen = 1};
		message_set(s, &p[i].path, m, &b->names[i], b->control[i].bytes);
	}
	for (uint32_t at = 0; at < n;) {
		int sent = sendmmsg(s->fd, b->msgs + at, n - at, MSG_DONTWAIT);

		if (sent > 0) {
			at += (uint32_t)sent;
		} else if (errno == EAGAIN) {
			return failed + n - at; /* the send buffer is full for all of them */
		} else if (!try_again(&b->msgs[at].msg_hdr, errno)) {
			failed++;
			at++;
		}
	}
	return failed;
}

int udp_send_one(const struct udp_socket *s, const struct path *path, const void *bytes, size_t len)
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
	}
}
