/* SYN packets with whole, odd and malformed option lists; the checksum is computed anew each
 * time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "fwd/mss.h"

enum { MAX = 1440 - 24, V4_MSS = MAX - 40, V6_MSS = MAX - 60, SYN = 2, ACK = 16 };

static uint32_t words(const uint8_t *p, size_t n, uint32_t sum)
{
	for (size_t i = 0; i < n; i++)
		sum += (uint32_t)p[i] << (i & 1 ? 0 : 8);
	return sum;
}

/* The TCP checksum over pseudo header and segment: 0xffff when it is right. */
static uint32_t sum_of(const uint8_t *p, size_t len)
{
	const bool v4 = p[0] >> 4 == 4;
	const size_t at = v4 ? (p[0] & 15) * 4u : 40;
	uint32_t sum = (uint32_t)(len - at) + 6;

	sum = v4 ? words(p + 12, 8, sum) : words(p + 8, 32, sum);
	sum = words(p + at, len - at, sum);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

struct syn {
	uint8_t *p;
	size_t len, tcp;
};

/* ihl in words, 0: IPv6. size: what the TCP header claims, in words. */
static struct syn make(int ihl, uint8_t flags, const uint8_t *options, size_t n, int size)
{
	struct syn s = {.tcp = ihl ? (size_t)ihl * 4 : 40};

	s.len = s.tcp + 20 + n;
	s.p = calloc(1, s.len); /* exact, for the sanitizer */
	assert_non_null(s.p);
	for (size_t i = 0; i < s.len; i++)
		s.p[i] = (uint8_t)(i * 37);
	s.p[0] = ihl ? (uint8_t)(0x40 | ihl) : 0x60;
	if (ihl) {
		s.p[2] = (uint8_t)(s.len >> 8);
		s.p[3] = (uint8_t)s.len;
		s.p[6] = s.p[7] = 0;
		s.p[9] = 6;
	} else {
		s.p[4] = 0;
		s.p[5] = (uint8_t)(s.len - 40);
		s.p[6] = 6;
	}
	uint8_t *t = s.p + s.tcp;
	t[12] = (uint8_t)(size << 4);
	t[13] = flags;
	memcpy(t + 20, options, n);
	t[16] = t[17] = 0;
	uint32_t sum = ~sum_of(s.p, s.len);
	t[16] = (uint8_t)(sum >> 8);
	t[17] = (uint8_t)sum;
	assert_int_equal(sum_of(s.p, s.len), 0xffff);
	return s;
}

static uint32_t mss_at(const struct syn *s, size_t option)
{
	const uint8_t *p = s->p + s->tcp + 20 + option + 2;

	return (uint32_t)p[0] << 8 | p[1];
}

/* Nothing at all may change. */
static void expect_same(struct syn *s)
{
	uint8_t *before = malloc(s->len);

	assert_non_null(before);
	memcpy(before, s->p, s->len);
	mss_clamp(s->p, (uint32_t)s->len, MAX);
	assert_memory_equal(before, s->p, s->len);
	free(before);
	free(s->p);
}

static void expect_clamped(struct syn *s, size_t option, uint32_t mss)
{
	mss_clamp(s->p, (uint32_t)s->len, MAX);
	assert_int_equal(mss_at(s, option), mss);
	assert_int_equal(sum_of(s->p, s->len), 0xffff);
	free(s->p);
}

static void test_clamped(void **state)
{
	static const uint8_t plain[] = {2, 4, 0x05, 0xb4};
	static const uint8_t odd[] = {1, 2, 4, 0x05, 0xb4, 1, 1, 0};
	static const uint8_t behind[] = {
		4, 2, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 3, 3, 7, 2, 4, 0xff, 0xff};
	struct syn s;

	(void)state;
	for (int flags = SYN; flags <= (SYN | ACK); flags += ACK) {
		s = make(5, (uint8_t)flags, plain, sizeof(plain), 6);
		expect_clamped(&s, 0, V4_MSS);
		s = make(0, (uint8_t)flags, plain, sizeof(plain), 6);
		expect_clamped(&s, 0, V6_MSS);
	}
	s = make(5, SYN, odd, sizeof(odd), 7);
	expect_clamped(&s, 1, V4_MSS);
	s = make(7, SYN, behind, sizeof(behind), 10); /* IP options in front */
	expect_clamped(&s, 16, V4_MSS);
	s = make(0, SYN, behind, sizeof(behind), 10);
	expect_clamped(&s, 16, V6_MSS);
}

/* Every old value at every place, so that carries of the checksum are met. */
static void test_values(void **state)
{
	(void)state;
	for (uint32_t mss = 0; mss < 65536; mss += 11) {
		uint8_t options[8] = {1, 1, 1, 1, 1, 1, 1, 1};
		size_t at = mss % 5;
		options[at] = 2;
		options[at + 1] = 4;
		options[at + 2] = (uint8_t)(mss >> 8);
		options[at + 3] = (uint8_t)mss;
		struct syn s = make(5, SYN, options, sizeof(options), 7);
		expect_clamped(&s, at, mss < V4_MSS ? mss : V4_MSS); /* only lowered */
	}
}

static void test_left_alone(void **state)
{
	static const uint8_t mss[] = {2, 4, 0x05, 0xb4};
	static const uint8_t small[] = {2, 4, 0x02, 0x18};
	struct syn s;

	(void)state;
	s = make(5, ACK, mss, sizeof(mss), 6); /* no SYN */
	expect_same(&s);
	s = make(5, SYN, small, sizeof(small), 6);
	expect_same(&s);
	s = make(5, SYN, mss, 0, 5); /* none */
	expect_same(&s);
	s = make(5, SYN, mss, sizeof(mss), 5); /* what follows the header is payload */
	expect_same(&s);
	s = make(5, SYN, mss, sizeof(mss), 6);
	s.p[9] = 17;
	expect_same(&s);
	s = make(0, SYN, mss, sizeof(mss), 6);
	s.p[6] = 44; /* extension headers are not walked */
	expect_same(&s);
	s = make(5, SYN, mss, sizeof(mss), 6);
	s.p[7] = 1; /* a later fragment: this is no TCP header */
	expect_same(&s);
	s = make(5, SYN, mss, sizeof(mss), 6);
	s.p[6] = 0x20; /* the first of several */
	expect_clamped(&s, 0, V4_MSS);
	s = make(5, SYN, mss, sizeof(mss), 6);
	uint8_t *before = malloc(s.len);
	assert_non_null(before);
	memcpy(before, s.p, s.len);
	mss_clamp(s.p, (uint32_t)s.len, 40); /* no room for a single byte: not our doing */
	assert_memory_equal(before, s.p, s.len);
	free(before);
	free(s.p);
}

static void test_malformed(void **state)
{
	static const struct {
		uint8_t options[8];
		size_t n;
		int size; /* words */
	} rows[] = {
		{{3, 0, 2, 4, 0xff, 0xff, 0, 0}, 8, 7},	  /* length 0 would go round for ever */
		{{3, 1, 2, 4, 0xff, 0xff, 0, 0}, 8, 7},	  /* length 1 */
		{{2, 0, 0xff, 0xff}, 4, 6},		  /* an MSS of length 0, */
		{{2, 1, 0xff, 0xff}, 4, 6},		  /* 1, */
		{{2, 2, 0xff, 0xff}, 4, 6},		  /* 2: no value */
		{{2, 3, 0xff, 0xff}, 4, 6},		  /* 3, */
		{{2, 5, 0xff, 0xff}, 4, 6},		  /* beyond the header */
		{{1, 1, 1, 2, 4, 0xff, 0xff, 1}, 8, 6},	  /* value beyond the header */
		{{1, 1, 2, 4, 0xff, 0xff, 1, 1}, 8, 6},	  /* the same, all of it */
		{{1, 1, 1, 2}, 4, 6},			  /* kind is the last byte */
		{{3, 255, 2, 4, 0xff, 0xff, 0, 0}, 8, 7}, /* far beyond */
		{{0, 2, 4, 0xff, 0xff, 0, 0, 0}, 8, 7},	  /* behind the end of the list */
		{{2, 4, 0xff, 0xff}, 4, 4},		  /* header shorter than a header */
		{{2, 4, 0xff, 0xff}, 4, 0},
		{{2, 4, 0xff, 0xff}, 4, 7}, /* header longer than the packet */
		{{2, 4, 0xff, 0xff}, 4, 15},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct syn s = make(5, SYN, rows[i].options, rows[i].n, rows[i].size);
		expect_same(&s);
		s = make(0, SYN, rows[i].options, rows[i].n, rows[i].size);
		expect_same(&s);
	}
}

/* Cut off anywhere: read is only what is there. */
static void test_truncated(void **state)
{
	static const uint8_t mss[] = {1, 2, 4, 0xff, 0xff, 1, 1, 0};

	(void)state;
	for (int ihl = 0; ihl <= 5; ihl += 5) {
		struct syn whole = make(ihl, SYN, mss, sizeof(mss), 7);
		for (size_t len = whole.tcp; len < whole.len; len++) {
			uint8_t *cut = malloc(len);
			assert_non_null(cut);
			memcpy(cut, whole.p, len);
			mss_clamp(cut, (uint32_t)len, MAX);
			assert_memory_equal(cut, whole.p, len);
			free(cut);
		}
		free(whole.p);
	}
}

/* Both options of a list with two are lowered: nobody can hide one behind the other. */
static void test_twice(void **state)
{
	static const uint8_t two[] = {2, 4, 0xff, 0xff, 2, 4, 0xff, 0xfe};

	(void)state;
	struct syn s = make(5, SYN, two, sizeof(two), 7);
	mss_clamp(s.p, (uint32_t)s.len, MAX);
	assert_int_equal(mss_at(&s, 0), V4_MSS);
	expect_clamped(&s, 4, V4_MSS);
}

static void test_inner_max(void **state)
{
	struct path p = {.remote = {.addr = {.family = IP_V4}}};

	(void)state;
	assert_int_equal(mss_inner_max(&p, 24), 1492 - 28 - 24); /* MSS 1400, as 2.6 logs it */
	p.connection = 1;
	assert_int_equal(mss_inner_max(&p, 24), 1492 - 40 - 2 - 24);
	p.remote.addr.family = IP_V6;
	assert_int_equal(mss_inner_max(&p, 24), 1492 - 60 - 2 - 24);
	p.connection = 0;
	assert_int_equal(mss_inner_max(&p, 21), 1492 - 48 - 21);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clamped),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_left_alone),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_twice),
		cmocka_unit_test(test_inner_max),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
