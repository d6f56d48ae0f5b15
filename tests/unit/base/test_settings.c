/* Settings: who wins, what is refused, and that no value ever shows in an error. */
#include "base/settings.h"

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
#include <unistd.h>

#include "base/log.h"

struct conf {
	char listen[32];
	char secret[32];
	char key_file[64];
	int parsed, switched;
};

static int store(char *out, size_t cap, const char *value, char *why, size_t why_len)
{
	if (strlen(value) >= cap || strcmp(value, "bad") == 0) {
		snprintf(why, why_len, "is not\ngood");
		return -EINVAL;
	}
	snprintf(out, cap, "%s", value);
	return 0;
}

static int parse_listen(void *conf, const char *value, char *why, size_t why_len)
{
	struct conf *c = conf;

	c->parsed++;
	return store(c->listen, sizeof(c->listen), value, why, why_len);
}

static int parse_secret(void *conf, const char *value, char *why, size_t why_len)
{
	struct conf *c = conf;

	return store(c->secret, sizeof(c->secret), value, why, why_len);
}

static int parse_key_file(void *conf, const char *value, char *why, size_t why_len)
{
	struct conf *c = conf;

	return store(c->key_file, sizeof(c->key_file), value, why, why_len);
}

static int parse_switch(void *conf, const char *value, char *why, size_t why_len)
{
	struct conf *c = conf;

	c->switched++;
	return strcmp(value, "on") == 0 ? 0 : store(c->secret, 0, value, why, why_len);
}

static const struct setting rows[] = {
	{"TEST_LISTEN", "127.0.0.1:1", "where to listen", parse_listen, false},
	{"TEST_SECRET", NULL, "a secret", parse_secret, false},
	{"TEST_KEY_FILE", NULL, "a file", parse_key_file, true},
	{"TEST_SWITCH", NULL, "a switch", parse_switch, SETTING_SWITCH},
};

static const struct program program = {"ireko-test", "tests settings", rows, ARRAY_SIZE(rows)};

enum { MAX_ARGS = 8 };

struct run {
	struct conf conf;
	int rc;
	char out[4096]; /* stdout and stderr */
};

/* Runs settings_load with the NULL-terminated arguments; everything printed lands in r->out. */
static void run(struct run *r, const char *const *args)
{
	char *argv[MAX_ARGS] = {(char *)"ireko-test"};
	FILE *file = tmpfile();
	int out = dup(STDOUT_FILENO), err = dup(STDERR_FILENO);
	int argc = 1;
	size_t n;

	for (; *args; args++)
		argv[argc++] = (char *)*args;
	memset(r, 0, sizeof(*r));
	fflush(NULL);
	dup2(fileno(file), STDOUT_FILENO);
	dup2(fileno(file), STDERR_FILENO);
	r->rc = settings_load(&program, argc, argv, &r->conf);
	fflush(NULL);
	dup2(out, STDOUT_FILENO);
	dup2(err, STDERR_FILENO);
	close(out);
	close(err);
	rewind(file);
	n = fread(r->out, 1, sizeof(r->out) - 1, file);
	r->out[n] = '\0';
	fclose(file);
}

#define RUN(r, ...) run(r, (const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

/* Refused with exactly this line. */
#define assert_refused(r, line)                                                                    \
	do {                                                                                       \
		assert_int_equal((r)->rc, -EINVAL);                                                \
		assert_string_equal((r)->out, line "\n");                                          \
	} while (0)

static int clear_environment(void **state)
{
	(void)state;
	unsetenv("IREKO_TEST_LISTEN");
	unsetenv("IREKO_TEST_LISTEN_FILE");
	unsetenv("IREKO_TEST_SECRET");
	unsetenv("IREKO_TEST_SECRET_FILE");
	unsetenv("IREKO_TEST_KEY_FILE");
	unsetenv("IREKO_TEST_KEY_FILE_FILE");
	return 0;
}

/* A file with this content, named in a static buffer. */
static const char *write_file(const void *content, size_t len)
{
	static char path[64];
	int fd;

	snprintf(path, sizeof(path), "/tmp/ireko-test-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, content, len), len);
	close(fd);
	return path;
}

static void test_order_of_sources(void **state)
{
	struct run r;

	(void)state;
	RUN(&r);
	assert_int_equal(r.rc, SETTINGS_OK);
	assert_string_equal(r.conf.listen, "127.0.0.1:1");
	assert_string_equal(r.conf.secret, "");
	setenv("IREKO_TEST_LISTEN", "env", 1);
	RUN(&r);
	assert_string_equal(r.conf.listen, "env");
	RUN(&r, "--test-listen", "flag");
	assert_string_equal(r.conf.listen, "flag");
	RUN(&r, "--test-listen=equals=sign");
	assert_string_equal(r.conf.listen, "equals=sign");
	RUN(&r, "--test-listen=one", "--test-listen", "two");
	assert_string_equal(r.conf.listen, "two");
	assert_int_equal(r.conf.parsed, 1);
	RUN(&r, "--test-listen=");
	assert_string_equal(r.conf.listen, "");
	assert_int_equal(r.rc, SETTINGS_OK);
	assert_string_equal(r.out, "");
}

static void test_empty_variable_is_unset(void **state)
{
	struct run r;

	(void)state;
	setenv("IREKO_TEST_LISTEN", "", 1);
	setenv("IREKO_TEST_LISTEN_FILE", "", 1);
	RUN(&r);
	assert_int_equal(r.rc, SETTINGS_OK);
	assert_string_equal(r.conf.listen, "127.0.0.1:1");
}

static void test_overruled_value_may_be_bad(void **state)
{
	struct run r;

	(void)state;
	setenv("IREKO_TEST_LISTEN", "bad", 1);
	RUN(&r, "--test-listen=good");
	assert_int_equal(r.rc, SETTINGS_OK);
	assert_string_equal(r.conf.listen, "good");
}

static void test_refused_flags(void **state)
{
	struct run r;

	(void)state;
	RUN(&r, "--test-listen", "bad");
	assert_refused(&r, "ireko-test: --test-listen: is not?good");
	RUN(&r, "--nonsense=hunter2");
	assert_refused(&r, "ireko-test: --nonsense: unknown flag");
	RUN(&r, "--non\nsense");
	assert_refused(&r, "ireko-test: --non?sense: unknown flag");
	RUN(&r, "--test-liste", "x");
	assert_refused(&r, "ireko-test: --test-liste: unknown flag");
	RUN(&r, "--test-listenx", "x");
	assert_refused(&r, "ireko-test: --test-listenx: unknown flag");
	RUN(&r, "--TEST-LISTEN", "x");
	assert_refused(&r, "ireko-test: --TEST-LISTEN: unknown flag");
	RUN(&r, "--test-listen");
	assert_refused(&r, "ireko-test: --test-listen: needs a value");
	RUN(&r, "--test-listen", "--test-secret");
	assert_refused(&r, "ireko-test: --test-listen: needs a value");
	RUN(&r, "word");
	assert_refused(&r, "ireko-test: word: unexpected argument");
	RUN(&r, "-h");
	assert_refused(&r, "ireko-test: -h: unexpected argument");
	RUN(&r, "--");
	assert_refused(&r, "ireko-test: --: unknown flag");
	RUN(&r, "--help=x");
	assert_refused(&r, "ireko-test: --help: unknown flag");
}

static void test_errors_do_not_show_values(void **state)
{
	static const char secret[] = "hunter2hunter2hunter2hunter2hunter2";
	struct run r;

	(void)state;
	RUN(&r, "--test-secret", secret);
	assert_refused(&r, "ireko-test: --test-secret: is not?good");
	setenv("IREKO_TEST_SECRET", secret, 1);
	RUN(&r);
	assert_refused(&r, "ireko-test: IREKO_TEST_SECRET: is not?good");
}

static void test_value_from_file(void **state)
{
	struct run r;
	const char *path = write_file("s3cret\n", 7);

	(void)state;
	setenv("IREKO_TEST_SECRET_FILE", path, 1);
	RUN(&r);
	assert_int_equal(r.rc, SETTINGS_OK);
	assert_string_equal(r.conf.secret, "s3cret");
	RUN(&r, "--test-secret=flag");
	assert_string_equal(r.conf.secret, "flag");
	setenv("IREKO_TEST_SECRET", "both", 1);
	RUN(&r);
	assert_refused(&r, "ireko-test: IREKO_TEST_SECRET: is set, and the same with _FILE too");
	unlink(path);
	unsetenv("IREKO_TEST_SECRET");
	RUN(&r);
	assert_refused(&r, "ireko-test: IREKO_TEST_SECRET_FILE: file can't be read");
}

static void load_content(struct run *r, const void *content, size_t len)
{
	const char *path = write_file(content, len);

	setenv("IREKO_TEST_SECRET_FILE", path, 1);
	RUN(r);
	unlink(path);
}

static void test_content_of_files(void **state)
{
	static char big[65536];
	struct run r;

	(void)state;
	load_content(&r, "two\n\n", 5);
	assert_string_equal(r.conf.secret, "two\n");
	load_content(&r, "none", 4);
	assert_string_equal(r.conf.secret, "none");
	load_content(&r, "", 0);
	assert_int_equal(r.rc, SETTINGS_OK);
	assert_string_equal(r.conf.secret, "");
	load_content(&r, "a\0b", 3);
	assert_refused(&r, "ireko-test: IREKO_TEST_SECRET_FILE: file holds a NUL byte");
	load_content(&r, "bad\n", 4);
	assert_refused(&r, "ireko-test: IREKO_TEST_SECRET_FILE: is not?good");
	memset(big, 'x', sizeof(big));
	load_content(&r, big, sizeof(big));
	assert_refused(&r, "ireko-test: IREKO_TEST_SECRET_FILE: file is too long");
	load_content(&r, big, sizeof(big) - 1);
	assert_refused(&r, "ireko-test: IREKO_TEST_SECRET_FILE: is not?good");
	setenv("IREKO_TEST_SECRET_FILE", "/tmp", 1);
	RUN(&r);
	assert_refused(&r, "ireko-test: IREKO_TEST_SECRET_FILE: file can't be read");
}

static void test_path_has_no_file_variant(void **state)
{
	struct run r;

	(void)state;
	setenv("IREKO_TEST_KEY_FILE", "/a/path", 1);
	setenv("IREKO_TEST_KEY_FILE_FILE", "/nowhere", 1);
	RUN(&r);
	assert_int_equal(r.rc, SETTINGS_OK);
	assert_string_equal(r.conf.key_file, "/a/path");
	RUN(&r, "--test-key-file=/b");
	assert_string_equal(r.conf.key_file, "/b");
}

static void test_help_and_version(void **state)
{
	struct run r;

	(void)state;
	RUN(&r, "--version");
	assert_int_equal(r.rc, SETTINGS_DONE);
	assert_string_equal(r.out, "ireko-test " IREKO_VERSION "\n");
	assert_string_equal(ireko_version(), IREKO_VERSION);
	setenv("IREKO_TEST_SECRET", "hunter2", 1);
	RUN(&r, "--test-listen=x", "--help");
	assert_int_equal(r.rc, SETTINGS_DONE);
	assert_non_null(strstr(r.out, "ireko-test: tests settings\n"));
	assert_non_null(strstr(r.out, "--test-listen "));
	assert_non_null(strstr(r.out, "IREKO_TEST_LISTEN "));
	assert_non_null(strstr(r.out, "where to listen (default: 127.0.0.1:1)\n"));
	assert_non_null(strstr(r.out, "a secret (default: none)\n"));
	assert_null(strstr(r.out, "hunter2"));
}

static void test_switch_takes_no_value(void **state)
{
	struct run r;

	(void)state;
	RUN(&r, "--test-switch", "--test-listen", "x");
	assert_int_equal(r.rc, SETTINGS_OK);
	assert_int_equal(r.conf.switched, 1);
	assert_string_equal(r.conf.listen, "x");
	RUN(&r, "--test-switch=on");
	assert_refused(&r, "ireko-test: --test-switch: takes no value");
	RUN(&r, "--test-switch", "on");
	assert_refused(&r, "ireko-test: on: unexpected argument");
	/* No environment asks for it. */
	setenv("IREKO_TEST_SWITCH", "on", 1);
	RUN(&r);
	unsetenv("IREKO_TEST_SWITCH");
	assert_int_equal(r.rc, SETTINGS_OK);
	assert_int_equal(r.conf.switched, 0);
	RUN(&r, "--help");
	assert_non_null(strstr(r.out, "a switch\n"));
}

static void test_shared_parsers(void **state)
{
	int v;
	bool b;

	(void)state;
	assert_int_equal(setting_parse_log_level("debug", &v), 0);
	assert_int_equal(v, LOG_DEBUG);
	assert_int_equal(setting_parse_log_level("Debug", &v), -EINVAL);
	assert_int_equal(setting_parse_log_level("", &v), -EINVAL);
	assert_int_equal(setting_parse_log_format("json", &v), 0);
	assert_int_equal(v, LOG_JSON);
	assert_int_equal(setting_parse_log_format("xml", &v), -EINVAL);
	assert_int_equal(setting_parse_bool("on", &b), 0);
	assert_true(b);
	assert_int_equal(setting_parse_bool("0", &b), 0);
	assert_false(b);
	assert_int_equal(setting_parse_bool("yes", &b), -EINVAL);
	assert_int_equal(setting_parse_bool("", &b), -EINVAL);
}

#define settings_test(f) cmocka_unit_test_setup(f, clear_environment)

int main(void)
{
	const struct CMUnitTest tests[] = {
		settings_test(test_order_of_sources),
		settings_test(test_empty_variable_is_unset),
		settings_test(test_overruled_value_may_be_bad),
		settings_test(test_refused_flags),
		settings_test(test_errors_do_not_show_values),
		settings_test(test_value_from_file),
		settings_test(test_content_of_files),
		settings_test(test_path_has_no_file_variant),
		settings_test(test_help_and_version),
		settings_test(test_switch_takes_no_value),
		settings_test(test_shared_parsers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
