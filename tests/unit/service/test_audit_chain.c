/* What a hash and a MAC depend on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "pki/keystore.h"
#include "service/audit_chain.h"

static const uint8_t zero[32];

static struct audit_row a_row(void)
{
	return (struct audit_row){
		.seq = 7,
		.at = 1750000000000,
		.actor_id = {{1}},
		.actor_name = "ann",
		.via = AUDIT_VIA_LOGIN,
		.via_id = {{2}},
		.from = {IP_V4, {192, 0, 2, 1}},
		.action = "user.create",
		.kind = "usr",
		.object_id = {{3}},
		.outcome = "ok",
		.detail = "bob, role user",
	};
}

static void hash(const uint8_t before[32], const struct audit_row *r, uint8_t out[32])
{
	assert_int_equal(audit_chain_hash(before, r, out), 0);
}

/* Every field, and which field a letter belongs to. */
static void every_field_counts(void **state)
{
	struct audit_row rows[16];
	uint8_t hashes[17][32], before[32] = {1};
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < 16; i++)
		rows[i] = a_row();
	rows[n++].hash[0] = 1; /* the only one that does not count */
	rows[n++].seq = 8;
	rows[n++].at++;
	rows[n++].actor_id.bytes[15] = 1;
	strcpy(rows[n++].actor_name, "anna");
	rows[n++].via = AUDIT_VIA_TOKEN;
	rows[n++].via_id.bytes[15] = 1;
	rows[n++].from.bytes[3] = 2;
	rows[n++].from.family = IP_V6;
	strcpy(rows[n++].action, "user.creat");
	strcpy(rows[n++].kind, "dev");
	rows[n++].object_id.bytes[15] = 1;
	strcpy(rows[n++].outcome, "failed");
	strcpy(rows[n++].detail, "bob, role users");
	strcpy(rows[n].outcome, "okb");
	strcpy(rows[n++].detail, "ob, role user");
	strcpy(rows[n].actor_name, "annu");
	strcpy(rows[n++].action, "ser.create");
	assert_int_equal(n, 16);
	for (size_t i = 0; i < n; i++)
		hash(zero, &rows[i], hashes[i]);
	hash(before, &rows[0], hashes[n]);
	for (size_t i = 0; i <= n; i++)
		for (size_t k = 0; k < i; k++)
			assert_memory_not_equal(hashes[i], hashes[k], 32);
}

static void the_longest_row_fits(void **state)
{
	struct audit_row r = a_row();
	uint8_t out[32];

	(void)state;
	memset(r.actor_name, 'a', sizeof(r.actor_name) - 1);
	memset(r.action, 'a', sizeof(r.action) - 1);
	memset(r.kind, 'a', sizeof(r.kind) - 1);
	memset(r.outcome, 'a', sizeof(r.outcome) - 1);
	memset(r.detail, 'a', sizeof(r.detail) - 1);
	r.from.family = IP_V6;
	hash(zero, &r, out);
}

static struct keystore *open_keys(const char *dir, const char *name)
{
	struct keystore *ks;
	char path[96];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(keystore_open(&ks, path, true), 0);
	unlink(path);
	return ks;
}

static void only_the_master_key_makes_the_mac(void **state)
{
	struct audit_head fresh = {.first = 1}, h = {.first = 2, .last = 9, .broken = 0}, other;
	char dir[] = "/tmp/ireko-chain-XXXXXX";
	struct keystore *ks, *foreign;

	(void)state;
	assert_non_null(mkdtemp(dir));
	ks = open_keys(dir, "a");
	foreign = open_keys(dir, "b");
	/* Nothing was written: there is nothing to sign. */
	assert_true(audit_chain_genuine(ks, &fresh));
	fresh.last = 1;
	assert_false(audit_chain_genuine(ks, &fresh));
	fresh = (struct audit_head){.first = 2};
	assert_false(audit_chain_genuine(ks, &fresh));

	assert_int_equal(audit_chain_seal(ks, &h), 0);
	assert_true(audit_chain_genuine(ks, &h));
	assert_false(audit_chain_genuine(foreign, &h));
#define CHANGED(change)                                                                            \
	other = h;                                                                                 \
	other.change;                                                                              \
	assert_false(audit_chain_genuine(ks, &other))
	CHANGED(first = 1);
	CHANGED(last = 8);
	CHANGED(broken = 1);
	CHANGED(before[31] ^= 1);
	CHANGED(hash[0] ^= 1);
	CHANGED(mac[0] ^= 1);
	CHANGED(mac_len = 31);
	CHANGED(mac_len = 0);
	keystore_free(ks);
	keystore_free(foreign);
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_field_counts),
		cmocka_unit_test(the_longest_row_fits),
		cmocka_unit_test(only_the_master_key_makes_the_mac),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
