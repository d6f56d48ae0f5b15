/* Asking a dataplane whether it is well: one that answers right, and all that may stand in its
 * place. */
#include "dataplane/health.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "uapi/door.h"
#include "uapi/uapi.h"

struct place {
	char dir[32], path[DOOR_PATH_MAX], why[HEALTH_TEXT];
	int listener;
	pid_t dataplane;
};

static int setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	strcpy(p->dir, "/tmp/ireko-health-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	assert_int_equal(door_path(p->path, p->dir), 0);
	p->listener = -1;
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;

	if (p->listener >= 0)
		close(p->listener);
	unlink(p->path);
	rmdir(p->dir);
	free(p);
	return 0;
}

static void wait_readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	while (poll(&p, 1, 1000) < 0 && errno == EINTR)
		;
}

/* Takes one connection and says that, whatever it is asked; nothing when len is 0. */
static _Noreturn void dataplane(int listener, const uint8_t *frame, size_t len)
{
	uint8_t asked[64];
	int fd;

	wait_readable(listener);
	fd = accept(listener, NULL, NULL);
	wait_readable(fd);
	if (door_recv(fd, asked, sizeof(asked)) != UAPI_HEADER || asked[0] != UAPI_HEALTH_GET_MSG)
		_exit(1);
	_exit(len > 0 && door_send(fd, frame, len) != 0);
}

static int ask(struct place *p, const uint8_t *frame, size_t len)
{
	int status, r;
	pid_t pid;

	p->listener = door_listen(p->path);
	assert_true(p->listener >= 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		dataplane(p->listener, frame, len);
	r = data_health_ask(p->dir, p->why);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(p->listener);
	p->listener = -1;
	return r;
}

static int ask_with(struct place *p, const struct uapi_health_reply *m)
{
	uint8_t frame[UAPI_HEADER + UAPI_SIZE_health_reply];
	struct writer w = writer_init(frame, sizeof(frame));

	uapi_begin(&w, UAPI_HEALTH_REPLY_MSG, 1);
	uapi_pack_health_reply(&w, m);
	assert_int_equal(writer_end(&w), 0);
	return ask(p, frame, sizeof(frame));
}

/* Every machine has that device. */
static const struct uapi_health_reply well = {
	.control = 1, .workers = 3, .uptime_ms = 12345, .tun = "lo"};

static void well_is_well(void **state)
{
	struct place *p = *state;

	assert_int_equal(ask_with(p, &well), 0);
	assert_string_equal(p->why, "lo, 3 workers, control plane connected, up for 12 s");
}

static void says_what_is_missing(void **state)
{
	struct uapi_health_reply m = well;
	struct place *p = *state;

	m.control = 0;
	assert_int_equal(ask_with(p, &m), 1);
	assert_string_equal(p->why, "no control plane is connected");
	strcpy(m.tun, "nosuchdev0");
	assert_int_equal(ask_with(p, &m), 1);
	assert_string_equal(p->why, "nosuchdev0: the TUN device is gone");
}

static void answers_that_are_none(void **state)
{
	struct uapi_health_reply m = well;
	struct place *p = *state;
	const uint8_t other[UAPI_HEADER + 4] = {UAPI_SYNC_BEGIN_REPLY_MSG};

	strcpy(m.tun, "\033[31mred");
	assert_int_equal(ask_with(p, &m), 1);
	assert_string_equal(p->why, "the dataplane answers something else");
	m.tun[0] = '\0';
	assert_int_equal(ask_with(p, &m), 1);
	assert_int_equal(ask(p, other, sizeof(other)), 1);
	assert_string_equal(p->why, "the dataplane answers something else");
	assert_int_equal(ask(p, other, 3), 1);
	assert_int_equal(ask(p, other, 0), 1);
	assert_non_null(strstr(p->why, "does not talk to this user"));
}

static void nobody_there(void **state)
{
	struct place *p = *state;

	assert_int_equal(data_health_ask(p->dir, p->why), 1);
	assert_non_null(strstr(p->why, "/dataplane.sock: is not there"));
	p->listener = door_listen(p->path);
	close(p->listener);
	p->listener = -1;
	assert_int_equal(data_health_ask(p->dir, p->why), 1);
	assert_non_null(strstr(p->why, "nobody listens"));
}

/* It is stopped: the kernel takes connections for it. */
static void silence_ends(void **state)
{
	struct place *p = *state;

	p->listener = door_listen(p->path);
	assert_int_equal(data_health_ask(p->dir, p->why), 1);
	assert_string_equal(p->why, "the dataplane does not answer");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(well_is_well, setup, teardown),
		cmocka_unit_test_setup_teardown(says_what_is_missing, setup, teardown),
		cmocka_unit_test_setup_teardown(answers_that_are_none, setup, teardown),
		cmocka_unit_test_setup_teardown(nobody_there, setup, teardown),
		cmocka_unit_test_setup_teardown(silence_ends, setup, teardown),
	};

	return cmocka_run_group_tests_name("data_health", tests, NULL, NULL);
}
