/*
 * Sends small datagrams through a connected socket at a steady rate, several with one system call.
 *
 *   blast FD BYTES RATE SECONDS
 *
 * Prints one line of JSON: what was sent, what the kernel refused (its queue was full), and how
 * long it took. Who is held up does not catch up.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { BATCH = 16, BYTES_MAX = 1472 };
static const uint64_t SECOND = 1000000000ull;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

static void sleep_until(uint64_t ns)
{
	const struct timespec t = {(time_t)(ns / SECOND), (long)(ns % SECOND)};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
}

int main(int argc, char **argv)
{
	static uint8_t payload[BYTES_MAX];
	struct iovec iov = {payload, 0};
	struct mmsghdr m[BATCH];
	uint64_t sent = 0, refused = 0;

	if (argc != 5 || atoi(argv[2]) < 1 || atoi(argv[2]) > BYTES_MAX || atoi(argv[3]) < 1) {
		fprintf(stderr, "usage: blast FD BYTES RATE SECONDS\n");
		return 2;
	}
	const int fd = atoi(argv[1]);
	iov.iov_len = (size_t)atoi(argv[2]);
	memset(m, 0, sizeof(m));
	for (int i = 0; i < BATCH; i++) {
		m[i].msg_hdr.msg_iov = &iov;
		m[i].msg_hdr.msg_iovlen = 1;
	}
	const uint64_t step = BATCH * SECOND / (uint64_t)atoi(argv[3]), began = now_ns(),
		       end = began + (uint64_t)(strtod(argv[4], NULL) * (double)SECOND);
	for (uint64_t due = began, now; (now = now_ns()) < end;) {
		if (now < due) {
			sleep_until(due);
			continue;
		}
		const int n = sendmmsg(fd, m, BATCH, MSG_DONTWAIT);
		sent += n > 0 ? (uint64_t)n : 0;
		refused += n > 0 ? (uint64_t)(BATCH - n) : BATCH;
		due = now - due > 10 * step ? now : due + step;
	}
	printf("{\"sent\": %llu, \"refused\": %llu, \"seconds\": %.4f}\n", (unsigned long long)sent,
		(unsigned long long)refused, (double)(now_ns() - began) / (double)SECOND);
	return 0;
}
