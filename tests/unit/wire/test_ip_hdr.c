/* Inner IP headers: whole ones, every truncation, lengths that contradict each other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "wire/ip_hdr.h"

static void make4(uint8_t *p, unsigned int words, unsigned int total)
{
	memset(p, 0, 100);
	p[0] = (uint8_t)(0x40 | words);
	p[2] = (uint8_t)(total >> 8);
	p[3] = (uint8_t)total;
	memcpy(p + 12, "\x0a\x00\x00\x02\x08\x08\x04\x04", 8);
}

static void make6(uint8_t *p, unsigned int payload)
{
	memset(p, 0, 100);
	p[0] = 0x60;
	p[4] = (uint8_t)(payload >> 8);
	p[5] = (uint8_t)payload;
	memset(p + 8, 0xfd, 16);
	memset(p + 24, 0x20, 16);
}

static void test_v4(void **state)
{
	uint8_t p[100];
	struct ip_hdr h;

	(void)state;
	make4(p, 5, 28);
	assert_int_equal(ip_hdr_parse(&h, p, 28), IP_HDR_OK);
	assert_int_equal(h.total, 28);
	assert_int_equal(h.src.family, IP_V4);
	assert_memory_equal(
		h.src.bytes, "\x0a\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 16);
	assert_memory_equal(h.dst.bytes, "\x08\x08\x04\x04", 4);
	assert_int_equal(ip_hdr_parse(&h, p, 32), IP_HDR_OK); /* padding */
	assert_int_equal(h.total, 28);
	for (size_t n = 0; n < 28; n++)
		assert_int_equal(ip_hdr_parse(&h, p, n), IP_HDR_BAD);
}

static void test_v4_lengths(void **state)
{
	uint8_t p[100];
	struct ip_hdr h;

	(void)state;
	make4(p, 5, 20);
	assert_int_equal(ip_hdr_parse(&h, p, 100), IP_HDR_OK);
	make4(p, 5, 19);
	assert_int_equal(ip_hdr_parse(&h, p, 100), IP_HDR_BAD);
	make4(p, 5, 0);
	assert_int_equal(ip_hdr_parse(&h, p, 100), IP_HDR_BAD);
	make4(p, 4, 40);
	assert_int_equal(ip_hdr_parse(&h, p, 100), IP_HDR_BAD);
	make4(p, 15, 60);
	assert_int_equal(ip_hdr_parse(&h, p, 100), IP_HDR_OK);
	make4(p, 15, 59);
	assert_int_equal(ip_hdr_parse(&h, p, 100), IP_HDR_BAD);
	make4(p, 5, 65535);
	assert_int_equal(ip_hdr_parse(&h, p, 100), IP_HDR_BAD);
	make4(p, 5, 101);
	assert_int_equal(ip_hdr_parse(&h, p, 100), IP_HDR_BAD);
}

static void test_v6(void **state)
{
	uint8_t p[100];
	struct ip_hdr h;

	(void)state;
	make6(p, 8);
	assert_int_equal(ip_hdr_parse(&h, p, 48), IP_HDR_OK);
	assert_int_equal(h.total, 48);
	assert_int_equal(h.src.family, IP_V6);
	assert_int_equal(h.src.bytes[15], 0xfd);
	assert_int_equal(h.dst.bytes[0], 0x20);
	assert_int_equal(ip_hdr_parse(&h, p, 49), IP_HDR_OK);
	for (size_t n = 0; n < 48; n++)
		assert_int_equal(ip_hdr_parse(&h, p, n), IP_HDR_BAD);
	make6(p, 0);
	assert_int_equal(ip_hdr_parse(&h, p, 40), IP_HDR_OK);
	assert_int_equal(h.total, 40);
	make6(p, 65535);
	assert_int_equal(ip_hdr_parse(&h, p, 100), IP_HDR_BAD);
}

/* An IPv4-mapped source stays IPv6, or it would pass for an IPv4 address. */
static void test_mapped(void **state)
{
	uint8_t p[100];
	struct ip_hdr h;
	struct ip_addr v4;

	(void)state;
	make6(p, 0);
	memcpy(p + 8, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0\2", 16);
	assert_int_equal(ip_hdr_parse(&h, p, 40), IP_HDR_OK);
	assert_int_equal(ip_addr_parse(&v4, "10.0.0.2"), 0);
	assert_int_equal(h.src.family, IP_V6);
	assert_false(ip_addr_equal(&h.src, &v4));
}

static void test_versions(void **state)
{
	uint8_t p[100];
	struct ip_hdr h = {.total = 77};

	(void)state;
	for (unsigned int v = 0; v < 16; v++) {
		make4(p, 5, 60);
		p[0] = (uint8_t)(v << 4 | 5);
		if (v == 4 || v == 6)
			continue;
		assert_int_equal(ip_hdr_parse(&h, p, 100), IP_HDR_BAD);
	}
	assert_int_equal(h.total, 77); /* untouched on failure */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_v4),
		cmocka_unit_test(test_v4_lengths),
		cmocka_unit_test(test_v6),
		cmocka_unit_test(test_mapped),
		cmocka_unit_test(test_versions),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
