/*
 * Time, injected. The only place that asks the operating system for it.
 *
 * Monotonic time counts while the machine sleeps (CLOCK_BOOTTIME), because key lifetimes must.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

struct clock {
	uint64_t (*mono_ms)(void *arg);
	int64_t (*real_us)(void *arg);
	void *arg;
};

/* The machine's clocks. */
struct clock clock_system(void);
/* Milliseconds since boot. */
uint64_t clock_mono_ms(const struct clock *c);
/* Microseconds, milliseconds since 1970, UTC. */
int64_t clock_real_us(const struct clock *c);
int64_t clock_real_ms(const struct clock *c);

/* Nanoseconds since some moment, for measuring how long something takes; never decides anything
 * that a fake clock would have to. */
uint64_t clock_ticks_ns(void);
/* Processor time of this process, all its threads, in milliseconds. */
uint64_t clock_cpu_ms(void);

/* A clock that stands still until it is moved; f must outlive the returned value. */
struct fake_clock {
	uint64_t mono_ms;
	int64_t real_us;
};
struct clock clock_fake(struct fake_clock *f);
void fake_clock_advance(struct fake_clock *f, uint64_t ms);

/* RFC 3339 in UTC with milliseconds, "2026-01-02T03:04:05.678Z"; buf has CLOCK_TEXT bytes,
 * returned. */
enum { CLOCK_TEXT = 25 };
const char *clock_format_ms(int64_t unix_ms, char *buf);
/* Parses RFC 3339 with any offset into Unix milliseconds (years 1970 to 9999). Returns: 0, -EINVAL.
 */
int clock_parse_ms(const char *text, int64_t *unix_ms) __attribute__((warn_unused_result));

#endif
