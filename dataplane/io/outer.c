/* Sockets that listen to the outside. */
#include "io/outer.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

int outer_set(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) == 0 ? 0 : -errno;
}

static bool is_any6(const struct endpoint *at)
{
	static const uint8_t zero[16];

	return at->addr.family == IP_V6 && memcmp(at->addr.bytes, zero, sizeof(zero)) == 0;
}

socklen_t outer_sockaddr4(const struct endpoint *e, struct sockaddr_storage *out)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(e->port)};

	if (e->addr.family == IP_V4)
		memcpy(&sin.sin_addr, e->addr.bytes, 4);
	memcpy(out, &sin, sizeof(sin));
	return sizeof(sin);
}

int outer_socket(const struct endpoint *at, int type, bool shared, bool *v4)
{
	int flags = type | SOCK_NONBLOCK | SOCK_CLOEXEC, r = 0;
	int fd;

	*v4 = at->addr.family == IP_V4;
	fd = socket(*v4 ? AF_INET : AF_INET6, flags, 0);
	if (fd < 0 && errno == EAFNOSUPPORT && is_any6(at)) {
		/* A machine without IPv6 still has the IPv4 half of [::]. */
		*v4 = true;
		fd = socket(AF_INET, flags, 0);
	}
	if (fd < 0)
		return -errno;
	if (!*v4)
		r = outer_set(fd, IPPROTO_IPV6, IPV6_V6ONLY, !is_any6(at));
	if (r == 0 && shared)
		r = outer_set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (r != 0) {
		close(fd);
		return r;
	}
	return fd;
}

int outer_bind(int fd, const struct endpoint *at, bool v4)
{
	struct sockaddr_storage name;
	socklen_t len = v4 ? outer_sockaddr4(at, &name) : endpoint_to_sockaddr6(at, &name);

	return bind(fd, (const struct sockaddr *)&name, len) == 0 ? 0 : -errno;
}
