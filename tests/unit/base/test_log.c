/* Log lines: one write each, nothing from outside can start or disturb a line. */
#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

/* Stderr goes into a pipe while a test runs. */
struct capture {
	int saved, from;
};

static struct capture capture_begin(void)
{
	struct capture c = {.saved = dup(STDERR_FILENO)};
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	dup2(fds[1], STDERR_FILENO);
	close(fds[1]);
	c.from = fds[0];
	return c;
}

/* What was written, and stderr is back. */
static size_t capture_end(struct capture *c, char *buf, size_t cap)
{
	size_t len = 0;
	ssize_t got;

	dup2(c->saved, STDERR_FILENO);
	close(c->saved);
	while ((got = read(c->from, buf + len, cap - 1 - len)) > 0)
		len += (size_t)got;
	close(c->from);
	buf[len] = '\0';
	return len;
}

/* The line that a message makes; compared from behind the time. */
static void assert_line(enum log_format format, const char *message, const char *expected)
{
	size_t skip = format == LOG_JSON ? strlen("{\"time\":\"2026-01-02T03:04:05.678Z\",")
					 : strlen("2026-01-02T03:04:05.678Z ");
	struct capture c;
	char buf[8192];
	size_t len;

	log_init(LOG_INFO, format);
	c = capture_begin();
	log_info("test", "%s", message);
	len = capture_end(&c, buf, sizeof(buf));
	assert_true(len > skip);
	assert_string_equal(buf + skip, expected);
	log_init(LOG_INFO, LOG_TEXT);
}

static void test_text(void **state)
{
	(void)state;
	assert_line(LOG_TEXT, "plain", "info test: plain\n");
	assert_line(LOG_TEXT, "", "info test: \n");
	assert_line(LOG_TEXT, "a\nb\r\tc", "info test: a\\x0ab\\x0d\\x09c\n");
	assert_line(LOG_TEXT, "\x1b[31m\x7f", "info test: \\x1b[31m\\x7f\n");
	assert_line(LOG_TEXT, "入れ子 é 😀", "info test: 入れ子 é 😀\n");
}

static void test_broken_utf8(void **state)
{
	(void)state;
	assert_line(LOG_TEXT, "\xff\xfe", "info test: \\xff\\xfe\n");
	assert_line(LOG_TEXT, "\xc0\x8a", "info test: \\xc0\\x8a\n");
	assert_line(LOG_TEXT, "\xe0\x80\x8a", "info test: \\xe0\\x80\\x8a\n");
	assert_line(LOG_TEXT, "\xed\xa0\x80", "info test: \\xed\\xa0\\x80\n");
	assert_line(LOG_TEXT, "\xf4\x90\x80\x80", "info test: \\xf4\\x90\\x80\\x80\n");
	assert_line(LOG_TEXT, "\xc3", "info test: \\xc3\n");
	assert_line(LOG_TEXT, "\xe2\x82", "info test: \\xe2\\x82\n");
	assert_line(LOG_TEXT, "\x80z", "info test: \\x80z\n");
}

/* NEL, line separator, right-to-left override, isolates: valid UTF-8 that moves text about. */
static void test_invisible_characters(void **state)
{
	(void)state;
	assert_line(LOG_TEXT, "\xc2\x85", "info test: \\xc2\\x85\n");
	assert_line(LOG_TEXT, "\xe2\x80\xa8", "info test: \\xe2\\x80\\xa8\n");
	assert_line(LOG_TEXT, "\xe2\x80\xae", "info test: \\xe2\\x80\\xae\n");
	assert_line(LOG_TEXT, "\xe2\x81\xa6", "info test: \\xe2\\x81\\xa6\n");
}

static void test_json(void **state)
{
	(void)state;
	assert_line(LOG_JSON, "plain",
		"\"level\":\"info\",\"subsystem\":\"test\",\"message\":\"plain\"}\n");
	assert_line(LOG_JSON, "a\"b\\c\nd\xff",
		"\"level\":\"info\",\"subsystem\":\"test\","
		"\"message\":\"a\\\"b\\\\c\\\\x0ad\\\\xff\"}\n");
}

static void test_levels(void **state)
{
	struct capture c;
	char buf[256];

	(void)state;
	log_init(LOG_WARN, LOG_TEXT);
	assert_true(log_enabled(LOG_ERROR));
	assert_false(log_enabled(LOG_INFO));
	c = capture_begin();
	log_info("test", "not this");
	log_debug("test", "nor this");
	assert_int_equal(capture_end(&c, buf, sizeof(buf)), 0);
	c = capture_begin();
	log_warn("test", "%d", 1);
	capture_end(&c, buf, sizeof(buf));
	assert_non_null(strstr(buf, " warn test: 1\n"));
	log_init(LOG_DEBUG, LOG_TEXT);
	c = capture_begin();
	log_debug("test", "%d", 2);
	capture_end(&c, buf, sizeof(buf));
	assert_non_null(strstr(buf, " debug test: 2\n"));
	log_init(LOG_INFO, LOG_TEXT);
}

/* Every length around the end of the buffers, in both formats: still one whole line. */
static void test_long_messages_are_cut(void **state)
{
	static char message[5001], buf[8192];

	(void)state;
	for (int format = LOG_TEXT; format <= LOG_JSON; format++) {
		for (size_t n = 700; n < sizeof(message); n += 37) {
			struct capture c;
			size_t len;

			memset(message, n % 3 ? '"' : n % 2 ? 'x' : '\n', n);
			message[n] = '\0';
			log_init(LOG_INFO, (enum log_format)format);
			c = capture_begin();
			log_info("test", "%s", message);
			len = capture_end(&c, buf, sizeof(buf));
			assert_true(len <= PIPE_BUF);
			assert_ptr_equal(strchr(buf, '\n'), buf + len - 1);
			if (format == LOG_JSON)
				assert_string_equal(buf + len - 3, "\"}\n");
			/* No half escape in front of the dots. */
			if (strstr(buf, "...") && format == LOG_JSON && n % 3)
				assert_int_equal(strspn(strchr(buf + 80, '\\'), "\\\"") % 2, 0);
		}
	}
	log_init(LOG_INFO, LOG_TEXT);
}

static void test_errno_is_kept(void **state)
{
	struct capture c = capture_begin();
	char buf[256];

	(void)state;
	errno = ENOENT;
	log_info("test", "%m");
	assert_int_equal(errno, ENOENT);
	capture_end(&c, buf, sizeof(buf));
	assert_non_null(strstr(buf, "No such file or directory\n"));
}

static void *write_lines(void *arg)
{
	for (int i = 0; i < 50; i++)
		log_info("thread", "%s", (const char *)arg);
	return NULL;
}

static void test_threads_do_not_mix(void **state)
{
	static char a[200], b[200], buf[65536];
	struct capture c = capture_begin();
	pthread_t threads[2];
	int lines = 0;

	(void)state;
	memset(a, 'a', sizeof(a) - 1);
	memset(b, 'b', sizeof(b) - 1);
	pthread_create(&threads[0], NULL, write_lines, a);
	pthread_create(&threads[1], NULL, write_lines, b);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	capture_end(&c, buf, sizeof(buf));
	for (char *line = strtok(buf, "\n"); line; line = strtok(NULL, "\n"), lines++)
		assert_true(strstr(line, a) || strstr(line, b));
	assert_int_equal(lines, 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_broken_utf8),
		cmocka_unit_test(test_invisible_characters),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_long_messages_are_cut),
		cmocka_unit_test(test_errno_is_kept),
		cmocka_unit_test(test_threads_do_not_mix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
