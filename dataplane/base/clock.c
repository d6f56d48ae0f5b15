/*
 * Clocks and RFC 3339.
 */
#include "base/clock.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

static const int64_t last_ms = 253402300799999; /* 9999-12-31T23:59:59.999Z */

static uint64_t system_mono_ms(void *arg)
{
	struct timespec ts;

	(void)arg;
	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static int64_t system_real_us(void *arg)
{
	struct timespec ts;

	(void)arg;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

struct clock clock_system(void)
{
	return (struct clock){.mono_ms = system_mono_ms, .real_us = system_real_us};
}

uint64_t clock_mono_ms(const struct clock *c)
{
	return c->mono_ms(c->arg);
}

int64_t clock_real_us(const struct clock *c)
{
	return c->real_us(c->arg);
}

int64_t clock_real_ms(const struct clock *c)
{
	return clock_real_us(c) / 1000;
}

uint64_t clock_ticks_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

uint64_t clock_cpu_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* A test turns it while the threads of what it tests look at it. */
static uint64_t fake_mono_ms(void *arg)
{
	return __atomic_load_n(&((const struct fake_clock *)arg)->mono_ms, __ATOMIC_RELAXED);
}

static int64_t fake_real_us(void *arg)
{
	return __atomic_load_n(&((const struct fake_clock *)arg)->real_us, __ATOMIC_RELAXED);
}

struct clock clock_fake(struct fake_clock *f)
{
	return (struct clock){.mono_ms = fake_mono_ms, .real_us = fake_real_us, .arg = f};
}

void fake_clock_advance(struct fake_clock *f, uint64_t ms)
{
	__atomic_fetch_add(&f->mono_ms, ms, __ATOMIC_RELAXED);
	__atomic_fetch_add(&f->real_us, (int64_t)ms * 1000, __ATOMIC_RELAXED);
}

/* Writes v in exactly width digits and one character after them; returns what comes next. */
static char *put(char *at, int width, int v, char after)
{
	for (int i = width - 1; i >= 0; i--) {
		at[i] = (char)('0' + v % 10);
		v /= 10;
	}
	at[width] = after;
	return at + width + 1;
}

static bool is_leap(int year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int month_days(int year, int month)
{
	static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	return days[month - 1] + (month == 2 && is_leap(year));
}

/* Writes the date of a day counted from 1970-01-01. Not gmtime_r: its first call opens the zone
 * file, which kills a process that has given up opening files. */
static char *put_date(char *at, int64_t day)
{
	int year = 1970, month = 1;

	/* A Gregorian cycle of 400 years is 146097 days. */
	year += (int)(day / 146097) * 400;
	day %= 146097;
	for (; day >= 365 + is_leap(year); year++)
		day -= 365 + is_leap(year);
	for (; day >= month_days(year, month); month++)
		day -= month_days(year, month);
	at = put(at, 4, year, '-');
	at = put(at, 2, month, '-');
	return put(at, 2, (int)day + 1, 'T');
}

/* Outside of what RFC 3339 can say, the nearest time that it can. */
const char *clock_format_ms(int64_t unix_ms, char *buf)
{
	int64_t ms = unix_ms < 0 ? 0 : unix_ms > last_ms ? last_ms : unix_ms;
	int of_day = (int)(ms / 1000 % 86400);
	char *at = put_date(buf, ms / 86400000);

	at = put(at, 2, of_day / 3600, ':');
	at = put(at, 2, of_day / 60 % 60, ':');
	at = put(at, 2, of_day % 60, '.');
	at = put(at, 3, (int)(ms % 1000), 'Z');
	*at = '\0';
	return buf;
}

/* ---- parsing: a cursor over the text that turns NULL at the first thing that is wrong ---- */

static int take_digits(const char **at, int width, int low, int high)
{
	int v = 0;

	for (int i = 0; *at && i < width; i++) {
		char c = **at;

		if (c < '0' || c > '9') {
			*at = NULL;
			return low;
		}
		v = v * 10 + (c - '0');
		(*at)++;
	}
	if (v < low || v > high) {
		*at = NULL;
		return low;
	}
	return v;
}

static char take_char(const char **at, const char *one_of)
{
	for (; *at && *one_of; one_of++) {
		if (**at == *one_of) {
			(*at)++;
			return *one_of;
		}
	}
	*at = NULL;
	return '\0';
}

/* ".d+" cut down to milliseconds; absent is 0. */
static int take_fraction(const char **at)
{
	int ms = 0;
	int digits = 0;

	if (!*at || **at != '.')
		return 0;
	for ((*at)++; **at >= '0' && **at <= '9'; (*at)++) {
		if (digits++ < 3)
			ms = ms * 10 + (**at - '0');
	}
	if (digits == 0)
		*at = NULL;
	for (; digits < 3; digits++)
		ms *= 10;
	return ms;
}

/* "Z" or "+hh:mm"; seconds east of UTC. */
static int take_offset(const char **at)
{
	char sign = take_char(at, "Zz+-");
	int seconds;

	if (sign != '+' && sign != '-')
		return 0;
	seconds = take_digits(at, 2, 0, 23) * 3600;
	take_char(at, ":");
	seconds += take_digits(at, 2, 0, 59) * 60;
	return sign == '-' ? -seconds : seconds;
}

int clock_parse_ms(const char *text, int64_t *unix_ms)
{
	const char *at = text;
	struct tm tm = {0};
	int year, month, ms, offset;
	int64_t seconds, result;
	bool leap;

	year = take_digits(&at, 4, 1969, 9999); /* 1969 with an offset may be 1970 in UTC */
	take_char(&at, "-");
	month = take_digits(&at, 2, 1, 12);
	take_char(&at, "-");
	tm.tm_mday = take_digits(&at, 2, 1, month_days(year, month));
	take_char(&at, "Tt");
	tm.tm_hour = take_digits(&at, 2, 0, 23);
	take_char(&at, ":");
	tm.tm_min = take_digits(&at, 2, 0, 59);
	take_char(&at, ":");
	tm.tm_sec = take_digits(&at, 2, 0, 60);
	ms = take_fraction(&at);
	offset = take_offset(&at);
	if (!at || *at != '\0')
		return -EINVAL;
	tm.tm_year = year - 1900;
	tm.tm_mon = month - 1;
	leap = tm.tm_sec == 60;
	seconds = (int64_t)timegm(&tm) - offset;
	/* A leap second can only be the last one of a day in UTC (RFC 3339 5.7). */
	if (leap && seconds % 86400 != 0)
		return -EINVAL;
	result = seconds * 1000 + ms;
	if (result < 0 || result > last_ms)
		return -EINVAL;
	*unix_ms = result;
	return 0;
}
