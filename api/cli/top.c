/*
 * A live table of tunnels. The list of them is asked for at the beginning and whenever an event
 * says that it changed; rates come with the event of each second. On a terminal the screen is
 * drawn anew, elsewhere a line is added.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "api/cli/columns.h"
#include "api/cli/find.h"
#include "api/cli/follow.h"
#include "api/cli/nouns.h"
#include "base/secret.h"

static const struct column table[] = {
	{"USER", "user", COLUMN_TEXT},
	{"DEVICE", "device", COLUMN_TEXT},
	{"PROTOCOL", "protocol", COLUMN_TEXT},
	{"ENDPOINT", "endpoint", COLUMN_TEXT},
	{"SINCE", "started_at", COLUMN_TIME},
	{"RECEIVING", "rx_rate", COLUMN_RATE},
	{"SENDING", "tx_rate", COLUMN_RATE},
	{"RECEIVED", "rx_bytes", COLUMN_BYTES},
	{"SENT", "tx_bytes", COLUMN_BYTES},
};

struct view {
	struct args side; /* a connection of its own, as the stream holds the other */
	json_t *sessions; /* with names and rates */
	bool stale, terminal;
	unsigned long left;
};

static long long integer(const json_t *doc, const char *name)
{
	return (long long)json_integer_value(json_object_get(doc, name));
}

static enum exit_code refresh(struct view *v)
{
	json_t *items;
	const enum exit_code rc = list_all(&v->side, "/v1/sessions", 0, &items);

	if (rc)
		return rc;
	add_names(&v->side, items, true);
	json_decref(v->sessions);
	v->sessions = items;
	v->stale = false;
	return EXIT_FINE;
}

static void add_to(json_t *row, const char *member, long long n)
{
	json_object_set_new(row, member, json_integer(integer(row, member) + n));
}

static const json_t *moved_of(const json_t *data, const char *device)
{
	const json_t *one;
	size_t i;

	json_array_foreach(json_object_get(data, "devices"), i, one)
	{
		const char *id = json_string_value(json_array_get(one, 0));

		if (id && strcmp(id, device) == 0)
			return one;
	}
	return NULL;
}

/* What did not move is not in the event: its rate is nothing. */
static void take_traffic(struct view *v, const json_t *data)
{
	const long long ms = integer(data, "interval_ms");
	json_t *row;
	size_t i;

	json_array_foreach(v->sessions, i, row)
	{
		const json_t *moved = moved_of(data, rest_text(row, "device_id"));
		const long long rx = json_integer_value(json_array_get(moved, 1));
		const long long tx = json_integer_value(json_array_get(moved, 2));
		const double scale = 8000.0 / (double)(ms > 0 ? ms : 1000);

		add_to(row, "rx_bytes", rx);
		add_to(row, "tx_bytes", tx);
		json_object_set_new(row, "rx_rate", json_integer((json_int_t)((double)rx * scale)));
		json_object_set_new(row, "tx_rate", json_integer((json_int_t)((double)tx * scale)));
	}
}

/* As many rows as the screen has, the busiest first. */
static int by_rate(const void *a, const void *b)
{
	const json_t *one = *(json_t *const *)a, *other = *(json_t *const *)b;
	const long long x = integer(one, "rx_rate") + integer(one, "tx_rate");
	const long long y = integer(other, "rx_rate") + integer(other, "tx_rate");

	return x < y ? 1 : x > y ? -1 : strcmp(rest_text(one, "id"), rest_text(other, "id"));
}

static json_t *busiest(const json_t *sessions, size_t most)
{
	const size_t n = json_array_size(sessions);
	json_t **all = calloc(n + 1, sizeof(json_t *)), *out = json_array();

	for (size_t i = 0; all && i < n; i++)
		all[i] = json_array_get(sessions, i);
	if (all)
		qsort(all, n, sizeof(json_t *), by_rate);
	for (size_t i = 0; all && i < n && i < most; i++)
		json_array_append(out, all[i]);
	free(all);
	return out;
}

static size_t screen_rows(void)
{
	struct winsize w = {.ws_row = 0};

	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_row > 4 ? w.ws_row - 4U : 20;
}

static void draw(const struct view *v, const json_t *data)
{
	char rx[24], tx[24];
	JSON_OWNED rows = NULL;

	if (v->terminal)
		fputs("\033[H\033[J", stdout);
	tell("%s  %zu tunnels  received %s  sent %s", rest_text(data, "at"),
		json_array_size(v->sessions), columns_rate((uint64_t)integer(data, "rx_bps"), rx),
		columns_rate((uint64_t)integer(data, "tx_bps"), tx));
	if (v->terminal) {
		putchar('\n');
		rows = busiest(v->sessions, screen_rows());
		columns_print(stdout, columns_width(stdout), table, ARRAY_SIZE(table), rows);
	}
	fflush(stdout);
}

static void draw_json(const struct view *v, const json_t *data)
{
	JSON_OWNED doc = json_pack("{s:O, s:O}", "traffic", data, "sessions", v->sessions);

	json_dumpf(doc, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
	putchar('\n');
	fflush(stdout);
}

static bool on_event(void *arg, const struct sse_event *e)
{
	struct view *v = arg;
	JSON_OWNED data = json_loads(e->data, 0, NULL);

	if (strcmp(e->type, "traffic") != 0 || !data) {
		v->stale = true;
		return true;
	}
	if (v->stale && refresh(v))
		return true; /* told; the next second may be better */
	take_traffic(v, data);
	if (option(&v->side, OPT_JSON))
		draw_json(v, data);
	else
		draw(v, data);
	return v->left == 0 || --v->left > 0;
}

enum exit_code run_top(struct args *a)
{
	const char *count = option(a, OPT_COUNT);
	struct view v = {.side = *a,
		.sessions = json_array(),
		.stale = true,
		.terminal = isatty(STDOUT_FILENO),
		.left = count ? strtoul(count, NULL, 10) : 0};
	enum exit_code rc;

	v.side.rest.handle = NULL;
	if (rest_open(&v.side.rest))
		return fail("no memory");
	rc = refresh(&v);
	if (rc == EXIT_FINE)
		rc = follow_events(a, NULL, on_event, &v);
	rest_close(&v.side.rest);
	json_decref(v.sessions);
	return rc;
}
