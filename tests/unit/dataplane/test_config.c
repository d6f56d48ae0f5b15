/* The dataplane's settings, as flags and as variables. */
#include "dataplane/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/settings.h"
#include "uapi/uapi.h"

/* Loads with one flag. What goes to stderr is of no interest here. */
static int load(struct config *c, const char *flag)
{
	char program[] = "ireko-dataplane", arg[512];
	char *argv[] = {program, arg, NULL};
	int out = dup(2), null = open("/dev/null", O_WRONLY), r;

	strncpy(arg, flag, sizeof(arg) - 1);
	arg[sizeof(arg) - 1] = '\0';
	dup2(null, 2);
	r = data_config_load(c, 2, argv);
	dup2(out, 2);
	close(out);
	close(null);
	return r;
}

static void defaults(void **state)
{
	char program[] = "ireko-dataplane", *argv[] = {program, NULL};
	static const char *const want[] = {
		"udp://[::]:51820", "udp://[::]:1194", "tcp://[::]:1194"};
	struct config c;

	(void)state;
	assert_int_equal(data_config_load(&c, 1, argv), SETTINGS_OK);
	assert_string_equal(c.run_dir, "/run/ireko");
	assert_int_equal(c.n_listeners, 3);
	for (int i = 0; i < 3; i++) {
		char text[LISTENER_TEXT];

		assert_string_equal(listener_format(&c.listeners[i], text), want[i]);
	}
	assert_string_equal(c.tun, "ireko0");
	assert_int_equal(c.workers, 0);
	assert_true(c.nat);
	assert_int_equal(c.offloads, UAPI_OFFLOAD_ALL);
	assert_string_equal(c.user, "");
	assert_false(c.healthcheck);
	assert_int_equal(load(&c, "--healthcheck"), SETTINGS_OK);
	assert_true(c.healthcheck);
	assert_int_equal(c.log_level, LOG_INFO);
	assert_int_equal(c.log_format, LOG_TEXT);
}

static void good_values(void **state)
{
	static const char *const good[] = {"--listen=udp://0.0.0.0:1", "--listen=udp://[::1]:65535",
		"--listen=tcp://[::]:5,udp://[::]:5", "--tun=a", "--tun=abcdefghijklmn0",
		"--tun=t_1", "--workers=1", "--workers=63", "--nat=off", "--nat=on", "--aead=auto",
		"--aead=openssl", "--aead=ipsec-mb", "--offloads=off", "--offloads=auto",
		"--offloads=tun-gso", "--offloads=udp-gro,udp-gso",
		"--offloads=tun-gso,tun-gro,udp-gso,udp-gro", "--user=nobody", "--log-level=debug",
		"--log-format=json", "--run-dir=/x"};
	struct config c;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_int_equal(load(&c, good[i]), SETTINGS_OK);
}

static void bad_values(void **state)
{
	static const char *const bad[] = {"--listen=", "--listen=udp://", "--listen=udp://[::]",
		"--listen=udp://[::]:0", "--listen=udp://[::]:65536", "--listen=[::]:5",
		"--listen=http://[::]:5", "--listen=udp://host:5", "--listen=tcp://[::]:5",
		"--listen=udp://[::]:5,", "--listen=,udp://[::]:5",
		"--listen=udp://[::]:5,udp://[::]:5", "--listen=udp://[::]:5 ",
		"--tun=", "--tun=0a", "--tun=_a", "--tun=A0", "--tun=abcdefghijklmnop", "--tun=a-b",
		"--tun=a/b", "--tun=a%d", "--workers=0", "--workers=64", "--workers=-1",
		"--workers=1x", "--workers=", "--workers=999", "--nat=maybe", "--aead=", "--aead=x",
		"--offloads=x", "--offloads=", "--offloads=tun-gso,", "--offloads=,tun-gso",
		"--offloads=auto,tun-gso", "--offloads=tun", "--offloads=TUN-GSO",
		"--user=", "--user=a234567890123456789012345678901234", "--log-level=loud",
		"--log-format=xml", "--run-dir=", "--run-dir=run", "--bogus=1"};
	char long_dir[200] = "--run-dir=/", many[512] = "--listen=udp://[::]:1";
	struct config c;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (load(&c, bad[i]) != -EINVAL)
			fail_msg("taken: %s", bad[i]);
	}
	memset(long_dir + 11, 'x', CONFIG_RUN_DIR);
	assert_int_equal(load(&c, long_dir), -EINVAL);
	for (int i = 2; i <= CONFIG_LISTENERS + 1; i++) {
		size_t len = strlen(many);

		snprintf(many + len, sizeof(many) - len, ",udp://[::]:%d", i);
		assert_int_equal(load(&c, many), i <= CONFIG_LISTENERS ? SETTINGS_OK : -EINVAL);
	}
}

static void variables(void **state)
{
	char program[] = "ireko-dataplane", *argv[] = {program, NULL};
	struct config c;

	(void)state;
	setenv("IREKO_TUN", "ireko7", 1);
	setenv("IREKO_WORKERS", "3", 1);
	assert_int_equal(data_config_load(&c, 1, argv), SETTINGS_OK);
	assert_string_equal(c.tun, "ireko7");
	assert_int_equal(c.workers, 3);
	assert_int_equal(load(&c, "--tun=ireko8"), SETTINGS_OK);
	assert_string_equal(c.tun, "ireko8");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(good_values),
		cmocka_unit_test(bad_values),
		cmocka_unit_test(variables),
	};

	return cmocka_run_group_tests_name("dataplane config", tests, NULL, NULL);
}
