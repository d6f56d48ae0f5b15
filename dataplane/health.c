/*
 *   door --HEALTH_GET--> dataplane's control thread --HEALTH_REPLY--> device there? control plane?
 *
 * The thread that answers is the one that applies what the control plane wants. It can't look for
 * the device itself: it has no socket left to ask with.
 */
#include "health.h"

#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/isolate.h"
#include "uapi/door.h"
#include "uapi/uapi.h"

enum { NOT_WELL = 1, SEQ = 1 };

static int not_well(char *why, const char *what, const char *detail)
{
	snprintf(why, HEALTH_TEXT, "%s%s", what, detail);
	return NOT_WELL;
}

static int no_door(char *why, const char *path, int error)
{
	const char *what = strerror(-error);

	if (error == -ENOENT)
		what = "is not there: no dataplane runs, or somebody has removed it";
	else if (error == -ECONNREFUSED)
		what = "nobody listens: no dataplane runs";
	else if (error == -EAGAIN)
		what = "the dataplane takes no connections";
	snprintf(why, HEALTH_TEXT, "%s: %s", path, what);
	return NOT_WELL;
}

/* Returns: bytes of the answer, 0 (closed without one), -ETIMEDOUT, -errno. */
static ssize_t exchange(int fd, uint8_t *frame, size_t cap)
{
	struct writer w = writer_init(frame, cap);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int r;

	uapi_begin(&w, UAPI_HEALTH_GET_MSG, SEQ);
	r = door_send(fd, frame, writer_len(&w));
	if (r == -EPIPE)
		return 0;
	if (r != 0)
		return r;
	r = poll(&p, 1, HEALTH_WAIT_MS);
	if (r <= 0)
		return r == 0 ? -ETIMEDOUT : -errno;
	return door_recv(fd, frame, cap);
}

/* What it says may be anything, and goes to a terminal. */
static bool is_name(const char *tun)
{
	static const char fine[] = "abcdefghijklmnopqrstuvwxyz0123456789_";

	return tun[0] != '\0' && strlen(tun) < IF_NAMESIZE && strspn(tun, fine) == strlen(tun);
}

static int judge(const uint8_t *frame, size_t len, char *why)
{
	struct reader r = reader_init(frame, len);
	struct uapi_health_reply m;
	struct uapi_header h;

	if (uapi_open(&r, &h, UAPI_FROM_DATA, UAPI_CTL, UAPI_NEW) != 0 ||
		h.type != UAPI_HEALTH_REPLY_MSG)
		return not_well(why, "the dataplane answers something else", "");
	uapi_unpack_health_reply(&r, &m);
	if (reader_end(&r) != 0 || !is_name(m.tun))
		return not_well(why, "the dataplane answers something else", "");
	if (if_nametoindex(m.tun) == 0)
		return not_well(why, m.tun, ": the TUN device is gone");
	if (m.control == 0)
		return not_well(why, "no control plane is connected", "");
	snprintf(why, HEALTH_TEXT, "%s, %u workers, control plane connected, up for %llu s", m.tun,
		m.workers, (unsigned long long)m.uptime_ms / 1000);
	return 0;
}

int data_health_ask(const char *run_dir, char *why)
{
	uint8_t frame[UAPI_HEADER + UAPI_SIZE_health_reply + 1];
	char path[DOOR_PATH_MAX];
	ssize_t n;
	int fd;

	if (door_path(path, run_dir) != 0)
		return not_well(why, run_dir, " is too long");
	fd = door_connect(path);
	if (fd < 0)
		return no_door(why, path, fd);
	n = exchange(fd, frame, sizeof(frame));
	close(fd);
	if (n == -ETIMEDOUT)
		return not_well(why, "the dataplane does not answer", "");
	if (n == 0)
		return not_well(why,
			"the dataplane does not talk to this user, or is another "
			"version",
			"");
	if (n < 0)
		return not_well(why, "the dataplane does not answer: ", strerror((int)-n));
	return judge(frame, (size_t)n, why);
}

/* A container's root may lack the capability to pass by the socket's mode, so it becomes who the
 * dataplane is; nobody needs any privilege for what follows. */
static int become(const struct config *conf)
{
	struct identity who = {.uid = geteuid(), .gid = getegid()};
	int r = geteuid() == 0 ? data_config_identity(conf, &who) : 0;

	return r == 0 ? isolate_become(&who, 0) : r;
}

int data_health(const struct config *conf)
{
	char why[HEALTH_TEXT];
	int r = become(conf);

	if (r != 0)
		r = not_well(why, "privileges: ", strerror(-r));
	else
		r = data_health_ask(conf->run_dir, why);
	if (r == 0)
		printf("ireko-dataplane: healthy: %s\n", why);
	else
		fprintf(stderr, "ireko-dataplane: not healthy: %s\n", why);
	return r;
}
