/* The door: real sockets in a folder of its own; stale and live sockets, peers, frames. */
#include "uapi/door.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct door {
	char folder[32];
	char path[DOOR_PATH_MAX];
};

static int setup(void **state)
{
	static struct door d;

	snprintf(d.folder, sizeof(d.folder), "/tmp/ireko-door-XXXXXX");
	assert_non_null(mkdtemp(d.folder));
	assert_int_equal(door_path(d.path, d.folder), 0);
	*state = &d;
	return 0;
}

static int teardown(void **state)
{
	struct door *d = *state;

	unlink(d->path);
	return rmdir(d->folder);
}

static void test_path(void **state)
{
	char folder[120];
	char out[DOOR_PATH_MAX];
	size_t longest = DOOR_PATH_MAX - 1 - strlen("/dataplane.sock");

	(void)state;
	assert_int_equal(door_path(out, "/run/ireko"), 0);
	assert_string_equal(out, "/run/ireko/dataplane.sock");
	memset(folder, 'x', sizeof(folder));
	folder[longest] = '\0';
	assert_int_equal(door_path(out, folder), 0);
	folder[longest] = 'x';
	folder[longest + 1] = '\0';
	assert_int_equal(door_path(out, folder), -ENAMETOOLONG);
}

static void test_mode_ignores_the_umask(void **state)
{
	struct door *d = *state;
	mode_t old = umask(0777);
	int fd = door_listen(d->path);
	struct stat st;

	umask(old);
	assert_true(fd >= 0);
	assert_int_equal(stat(d->path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0660);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
}

static void test_stale_is_replaced_live_is_not(void **state)
{
	struct door *d = *state;
	int first = door_listen(d->path);
	int client, second;

	assert_true(first >= 0);
	assert_int_equal(door_listen(d->path), -EADDRINUSE);
	client = door_connect(d->path);
	assert_true(client >= 0);
	close(client);
	close(first);
	assert_int_equal(door_connect(d->path), -ECONNREFUSED);
	second = door_listen(d->path);
	assert_true(second >= 0);
	client = door_connect(d->path);
	assert_true(client >= 0);
	close(client);
	close(second);
}

static void test_other_files_are_left_alone(void **state)
{
	struct door *d = *state;
	int fd = open(d->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(door_listen(d->path), -EADDRINUSE);
	assert_int_equal(access(d->path, F_OK), 0);
	unlink(d->path);
	assert_int_equal(symlink("/nonexistent", d->path), 0);
	assert_int_equal(door_listen(d->path), -EADDRINUSE);
}

static void test_nobody_there(void **state)
{
	struct door *d = *state;

	assert_int_equal(door_connect(d->path), -ENOENT);
	assert_int_equal(door_connect(""), -ENAMETOOLONG);
	assert_int_equal(door_listen("/nonexistent/folder/dataplane.sock"), -ENOENT);
}

static void test_full_backlog_is_alive(void **state)
{
	struct door *d = *state;
	int listener = door_listen(d->path);
	int clients[64];
	size_t n = 0;

	assert_true(listener >= 0);
	while (n < ARRAY_SIZE(clients) && (clients[n] = door_connect(d->path)) >= 0)
		n++;
	assert_in_range(n, 1, ARRAY_SIZE(clients) - 1);
	assert_int_equal(clients[n], -EAGAIN);
	assert_int_equal(door_listen(d->path), -EADDRINUSE);
	while (n-- > 0)
		close(clients[n]);
	close(listener);
}

/* Of several that start at once over a stale socket, exactly one gets the door. */
static void test_race_has_one_winner(void **state)
{
	struct door *d = *state;

	for (int round = 0; round < 20; round++) {
		pid_t pids[4];
		int hold[2], winners = 0;

		close(door_listen(d->path)); /* leaves a stale one */
		assert_int_equal(pipe(hold), 0);
		for (size_t i = 0; i < ARRAY_SIZE(pids); i++) {
			pids[i] = fork();
			if (pids[i] == 0) {
				int fd = door_listen(d->path);
				char c;

				close(hold[1]);
				/* Until everybody has tried, a loser reports at once. */
				if (fd < 0)
					_exit(fd == -EADDRINUSE ? 1 : 2);
				if (read(hold[0], &c, 1) < 0)
					_exit(3);
				_exit(0);
			}
		}
		for (size_t i = 0; i < ARRAY_SIZE(pids) - 1; i++) {
			int status;

			assert_true(wait(&status) > 0);
			assert_int_equal(WEXITSTATUS(status), 1);
		}
		close(hold[0]);
		close(hold[1]);
		for (int status; wait(&status) > 0;)
			winners += WEXITSTATUS(status) == 0;
		assert_int_equal(winners, 1);
	}
}

/* A connected pair, through the path. */
static void connect_pair(const struct door *d, int *client, int *server)
{
	int listener = door_listen(d->path);

	assert_true(listener >= 0);
	*client = door_connect(d->path);
	assert_true(*client >= 0);
	*server = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(*server >= 0);
	close(listener);
}

static void test_peer(void **state)
{
	int client, server, fds[2];
	uid_t uid = 77;
	gid_t gid = 77;
	pid_t pid = 0;

	connect_pair(*state, &client, &server);
	assert_int_equal(door_peer(server, &uid, &gid, &pid), 0);
	assert_int_equal(uid, getuid());
	assert_int_equal(gid, getgid());
	assert_int_equal(pid, getpid());
	assert_int_equal(door_peer(client, &uid, &gid, &pid), 0);
	assert_int_equal(pid, getpid());
	close(client);
	close(server);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(door_peer(fds[0], &uid, &gid, &pid), -ENOTSOCK);
	close(fds[0]);
	close(fds[1]);
}

static void test_frames(void **state)
{
	int client, server;
	char buf[8];

	connect_pair(*state, &client, &server);
	assert_int_equal(door_recv(server, buf, sizeof(buf)), -EAGAIN);
	assert_int_equal(door_send(client, "", 0), -EINVAL);
	assert_int_equal(door_send(client, "12345678", 8), 0);
	assert_int_equal(door_send(client, "123456789", 9), 0);
	assert_int_equal(door_send(client, "1", 1), 0);
	assert_int_equal(door_recv(server, buf, sizeof(buf)), 8);
	assert_memory_equal(buf, "12345678", 8);
	assert_int_equal(door_recv(server, buf, sizeof(buf)), -EMSGSIZE);
	assert_int_equal(door_recv(server, buf, sizeof(buf)), 1);
	assert_int_equal(door_recv(server, buf, sizeof(buf)), -EAGAIN);
	close(client);
	assert_int_equal(door_recv(server, buf, sizeof(buf)), 0);
	assert_int_equal(door_send(server, "1", 1), -EPIPE);
	close(server);
}

static void test_closed_with_unread_frames(void **state)
{
	int client, server;
	char buf[8];

	connect_pair(*state, &client, &server);
	assert_int_equal(door_send(server, "unread", 6), 0);
	close(client);
	assert_int_equal(door_recv(server, buf, sizeof(buf)), 0);
	close(server);
}

static void test_full_socket_says_again(void **state)
{
	static char frame[8192];
	int client, server, rc;
	int sent = 0;

	connect_pair(*state, &client, &server);
	while ((rc = door_send(client, frame, sizeof(frame))) == 0)
		sent++;
	assert_int_equal(rc, -EAGAIN);
	assert_true(sent > 0);
	assert_int_equal(door_recv(server, frame, sizeof(frame)), sizeof(frame));
	while (door_recv(server, frame, sizeof(frame)) > 0)
		sent--;
	assert_int_equal(sent, 1); /* none lost, none doubled */
	close(client);
	close(server);
}

/* Descriptors that somebody attaches to a frame do not stay open here. */
static void test_passed_descriptors_are_dropped(void **state)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)),
			     .cmsg_level = SOL_SOCKET,
			     .cmsg_type = SCM_RIGHTS}};
	struct iovec iov = {.iov_base = (char[]){"x"}, .iov_len = 1};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	int client, server, before, after;
	char buf[8];

	connect_pair(*state, &client, &server);
	memcpy(CMSG_DATA(&control.header), &client, sizeof(int));
	assert_int_equal(sendmsg(client, &msg, 0), 1);
	before = dup(0);
	close(before);
	assert_int_equal(door_recv(server, buf, sizeof(buf)), 1);
	after = dup(0);
	close(after);
	assert_int_equal(before, after);
	close(client);
	close(server);
}

static void test_stands_until_removed_or_replaced(void **state)
{
	struct door *d = *state;
	struct door_place p;
	int fd, other;

	assert_int_equal(door_place(&p, d->path), -ENOENT);
	fd = door_listen(d->path);
	assert_int_equal(door_place(&p, d->path), 0);
	assert_true(door_stands(&p, d->path));
	unlink(d->path);
	assert_false(door_stands(&p, d->path));
	other = door_listen(d->path);
	assert_true(other >= 0);
	assert_false(door_stands(&p, d->path));
	close(other);
	close(fd);
}

#define door_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_path),
		door_test(test_mode_ignores_the_umask),
		door_test(test_stale_is_replaced_live_is_not),
		door_test(test_other_files_are_left_alone),
		door_test(test_nobody_there),
		door_test(test_full_backlog_is_alive),
		door_test(test_race_has_one_winner),
		door_test(test_stands_until_removed_or_replaced),
		door_test(test_peer),
		door_test(test_frames),
		door_test(test_closed_with_unread_frames),
		door_test(test_full_socket_says_again),
		door_test(test_passed_descriptors_are_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
