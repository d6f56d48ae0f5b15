/* Settings: what holds when, and what is not taken. */
#include <errno.h>

#include "base/clock.h"
#include "tests/unit/service/servicetest.h"

static struct svc_settings_state get(struct servicetest *t)
{
	struct svc_settings_state st;

	assert_int_equal(svc_settings_get(t->s, &t->admin, &st, &t->e), 0);
	return st;
}

static int patch(struct servicetest *t, const struct svc_settings_change *c)
{
	struct svc_settings_state st;

	memset(&t->e, 0, sizeof(t->e));
	return svc_settings_patch(t->s, &t->admin, 0, c, &st, &t->e);
}

static struct svc_settings_change number(enum svc_setting which, int64_t n)
{
	struct svc_settings_change c = {.set_endpoint = false};

	c.set_number[which] = true;
	c.number[which] = (struct svc_number){true, n};
	return c;
}

static struct svc_settings_change no_number(enum svc_setting which)
{
	struct svc_settings_change c = {.set_endpoint = false};

	c.set_number[which] = true;
	return c;
}

static void begins_as_given_at_start(void **state)
{
	struct servicetest *t = *state;
	struct svc_settings_state st = get(t);

	assert_string_equal(st.now.endpoint, "vpn.example.org");
	assert_string_equal(st.now.dns, "");
	assert_int_equal(st.now.number[SVC_MTU], 1420);
	assert_int_equal(st.now.number[SVC_KEEPALIVE], 25);
	assert_int_equal(st.now.number[SVC_CREDENTIAL_LIFETIME], 0);
	assert_int_equal(st.now.number[SVC_AUDIT_DAYS], 366);
	assert_memory_equal(&st.now, &st.defaults, sizeof(st.now));
	assert_int_equal(st.updated_at, 0);
	assert_int_equal(st.revision, 1);
}

/* Changed, kept over a restart with other defaults, and given back. */
static void a_change_wins_until_it_is_taken_back(void **state)
{
	struct servicetest *t = *state;
	struct svc_settings_change c = number(SVC_MTU, 1300);
	struct svc_settings_state st;
	struct svc_settings now;

	c.set_endpoint = c.set_dns = true;
	c.endpoint = "other.example.org";
	c.dns.there = true;
	c.dns.n = 2;
	assert_int_equal(ip_addr_parse(&c.dns.list[0], "9.9.9.9"), 0);
	assert_int_equal(ip_addr_parse(&c.dns.list[1], "2620:fe::fe"), 0);
	assert_int_equal(patch(t, &c), 0);
	svc_settings_now(t->s, &now);
	assert_string_equal(now.endpoint, "other.example.org");
	assert_string_equal(now.dns, "9.9.9.9, 2620:fe::fe");
	assert_int_equal(now.number[SVC_MTU], 1300);
	assert_int_equal(now.number[SVC_KEEPALIVE], 25);

	service_close(t);
	t->conf.mtu = 1400;
	t->conf.keepalive_s = 15;
	service_open(t);
	st = get(t);
	assert_int_equal(st.revision, 2);
	assert_int_equal(st.updated_at, clock_real_ms(&t->conf.clock));
	assert_string_equal(st.now.endpoint, "other.example.org");
	assert_string_equal(st.now.dns, "9.9.9.9, 2620:fe::fe");
	assert_int_equal(st.now.number[SVC_MTU], 1300);
	assert_int_equal(st.now.number[SVC_KEEPALIVE], 15);
	assert_int_equal(st.defaults.number[SVC_MTU], 1400);
	assert_string_equal(st.defaults.endpoint, "vpn.example.org");

	c = no_number(SVC_MTU);
	c.set_endpoint = c.set_dns = true;
	assert_int_equal(patch(t, &c), 0);
	st = get(t);
	assert_memory_equal(&st.now, &st.defaults, sizeof(st.now));
	assert_int_equal(st.now.number[SVC_MTU], 1400);
	assert_int_equal(st.revision, 3);
}

/* No resolvers at all is a value, too. */
static void an_empty_list_is_not_the_default(void **state)
{
	struct servicetest *t = *state;
	struct svc_settings_change c = {.set_dns = true, .dns = {.there = true}};

	service_close(t);
	snprintf(t->conf.dns, sizeof(t->conf.dns), "192.0.2.53");
	service_open(t);
	assert_string_equal(get(t).now.dns, "192.0.2.53");
	assert_int_equal(patch(t, &c), 0);
	assert_string_equal(get(t).now.dns, "");
	c.dns.there = false;
	assert_int_equal(patch(t, &c), 0);
	assert_string_equal(get(t).now.dns, "192.0.2.53");
}

static void profile_of_next(struct servicetest *t, const struct ulid *dev,
	const struct svc_credential_request *r, struct svc_issued *out)
{
	assert_int_equal(svc_credential_issue(t->s, &t->admin, dev, r, out, &t->e), 0);
}

static void the_next_profile_has_it(void **state)
{
	struct servicetest *t = *state;
	struct ulid dev = new_device(t, &t->admin.user_id, "laptop");
	struct svc_credential_request wg = {.protocol = DIR_WIREGUARD};
	const struct svc_credential_request ovpn = {.protocol = DIR_OPENVPN};
	struct svc_settings_change c = number(SVC_MTU, 1380);
	struct svc_issued out;
	const int64_t now = clock_real_ms(&t->conf.clock);

	profile_of_next(t, &dev, &wg, &out);
	assert_non_null(strstr(out.profile, "\nPersistentKeepalive = 25\n"));
	assert_int_equal(out.credential.expires_at, 0);
	c.set_endpoint = c.set_dns = c.set_number[SVC_KEEPALIVE] = true;
	c.set_number[SVC_CREDENTIAL_LIFETIME] = true;
	c.endpoint = "2001:db8::7";
	c.dns = (struct svc_addresses){.there = true, .n = 1, .list = {{IP_V4, {9, 9, 9, 9}}}};
	c.number[SVC_KEEPALIVE].there = true;
	c.number[SVC_CREDENTIAL_LIFETIME] = (struct svc_number){true, 3600};
	assert_int_equal(patch(t, &c), 0);
	profile_of_next(t, &dev, &wg, &out);
	assert_non_null(strstr(out.profile, "\nEndpoint = [2001:db8::7]:51820\n"));
	assert_non_null(strstr(out.profile, "\nDNS = 9.9.9.9\n"));
	assert_non_null(strstr(out.profile, "\nMTU = 1380\n"));
	assert_null(strstr(out.profile, "PersistentKeepalive"));
	assert_int_equal(out.credential.expires_at, now + 3600 * 1000);
	profile_of_next(t, &dev, &ovpn, &out);
	assert_non_null(strstr(out.profile, "\nremote 2001:db8::7 1194 udp\n"));
	assert_int_equal(out.credential.expires_at, now + 3600 * 1000);
	/* What is asked for by name is what there will be: an end, or none. */
	wg.set_expires_at = true;
	profile_of_next(t, &dev, &wg, &out);
	assert_int_equal(out.credential.expires_at, 0);
	wg.expires_at = now + 5000;
	profile_of_next(t, &dev, &wg, &out);
	assert_int_equal(out.credential.expires_at, now + 5000);
}

static void the_coordinator_hears_of_it(void **state)
{
	struct servicetest *t = *state;
	struct svc_settings_change c = number(SVC_MTU, 1300), dns = {.set_dns = true};

	assert_int_equal(patch(t, &c), 0);
	assert_int_equal(t->c->tunnel_sets, 1);
	assert_int_equal(t->c->mtu, 1300);
	assert_string_equal(t->c->dns, "");
	dns.dns = (struct svc_addresses){.there = true, .n = 1, .list = {{IP_V4, {9, 9, 9, 9}}}};
	assert_int_equal(patch(t, &dns), 0);
	assert_int_equal(t->c->tunnel_sets, 2);
	assert_int_equal(t->c->mtu, 1300);
	assert_string_equal(t->c->dns, "9.9.9.9");
	/* Not of what is none of its business, nor of what is no change. */
	assert_int_equal(patch(t, &dns), 0);
	c = number(SVC_KEEPALIVE, 5);
	assert_int_equal(patch(t, &c), 0);
	assert_int_equal(t->c->tunnel_sets, 2);
	c = no_number(SVC_MTU);
	assert_int_equal(patch(t, &c), 0);
	assert_int_equal(t->c->mtu, 1420);
}

/* Exactly the bounds that are documented, each with its name. */
static void numbers_have_bounds(void **state)
{
	static const struct {
		enum svc_setting which;
		const char *name;
		int64_t least, most;
	} rows[] = {
		{SVC_MTU, "mtu", 1280, 9000},
		{SVC_KEEPALIVE, "keepalive", 0, 3600},
		{SVC_CREDENTIAL_LIFETIME, "credential_lifetime_s", 0, 3155760000},
		{SVC_TRAFFIC_MINUTES, "traffic_retention.minutes", 1, 31},
		{SVC_TRAFFIC_HOURS, "traffic_retention.hours", 1, 366},
		{SVC_TRAFFIC_DAYS, "traffic_retention.days", 1, 36525},
		{SVC_AUDIT_DAYS, "audit_retention_days", 1, 36525},
	};
	struct servicetest *t = *state;

	assert_int_equal(ARRAY_SIZE(rows), SVC_SETTINGS);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct svc_settings_change low = number(rows[i].which, rows[i].least),
					   high = number(rows[i].which, rows[i].most);

		assert_int_equal(patch(t, &low), 0);
		assert_int_equal(patch(t, &high), 0);
		low.number[rows[i].which].n--;
		high.number[rows[i].which].n++;
		assert_int_equal(patch(t, &low), SVC_INVALID);
		assert_string_equal(t->e.field, rows[i].name);
		assert_int_equal(patch(t, &high), SVC_INVALID);
		assert_string_equal(t->e.field, rows[i].name);
		assert_int_equal(get(t).now.number[rows[i].which], rows[i].most);
	}
}

static void hosts_and_resolvers_are_looked_at(void **state)
{
	static const char *const bad[] = {"", "a b", "vpn.example.org:51820", "-a.example", "a..b",
		"a.b-", "[::1]", "1.2.3", "1.2.3.4.5", "0.0.0.0", "::", "ff02::1", "224.0.0.1",
		"a\nb", "a_b", "\xc3\xa4.example",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example"};
	struct servicetest *t = *state;
	struct svc_settings_change c = {.set_endpoint = true};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		c.endpoint = bad[i];
		assert_int_equal(patch(t, &c), SVC_INVALID);
		assert_string_equal(t->e.field, "endpoint");
	}
	c = (struct svc_settings_change){.set_dns = true,
		.dns = {.there = true, .n = 2, .list = {{IP_V4, {9, 9, 9, 9}}, {IP_V4, {0}}}}};
	assert_int_equal(patch(t, &c), SVC_INVALID);
	assert_string_equal(t->e.field, "dns");
	assert_non_null(strstr(t->e.message, "entry 2"));
	assert_int_equal(get(t).revision, 1);
	/* Four of the longest. */
	c.dns.n = SVC_DNS_MAX;
	for (size_t i = 0; i < SVC_DNS_MAX; i++) {
		c.dns.list[i] = (struct ip_addr){.family = IP_V6};
		memset(c.dns.list[i].bytes, 0x3a, 16);
	}
	assert_int_equal(patch(t, &c), 0);
	assert_int_equal(strlen(get(t).now.dns), SVC_DNS_MAX * 39 + (SVC_DNS_MAX - 1) * 2);
}

static void only_admins_change_them(void **state)
{
	struct servicetest *t = *state;
	const struct svc_settings_change c = number(SVC_MTU, 1300);
	struct svc_settings_state st;

	for (enum svc_role r = SVC_ROLE_USER; r < SVC_ROLE_ADMIN; r++) {
		struct svc_user u = new_user(t, svc_role_name(r), r);
		struct svc_actor a = actor_of(&u);

		assert_int_equal(svc_settings_patch(t->s, &a, 0, &c, &st, &t->e), SVC_FORBIDDEN);
		assert_int_equal(svc_settings_get(t->s, &a, &st, &t->e),
			r == SVC_ROLE_USER ? SVC_FORBIDDEN : 0);
	}
	/* An admin's weak token; and one whose role was taken away meanwhile. */
	t->admin.role = SVC_ROLE_OPERATOR;
	assert_int_equal(patch(t, &c), SVC_FORBIDDEN);
	t->admin.role = SVC_ROLE_ADMIN;
	assert_int_equal(get(t).revision, 1);
}

static void if_match_and_the_audit_log(void **state)
{
	struct servicetest *t = *state;
	const struct svc_settings_change c = number(SVC_MTU, 1300);
	const struct svc_page p = {.limit = 1};
	const struct svc_audit_filter f = {.action = "settings.patch"};
	struct svc_audit_entry *list;
	struct svc_settings_state st;
	bool more;
	size_t n;

	assert_int_equal(svc_settings_patch(t->s, &t->admin, 2, &c, &st, &t->e), SVC_PRECONDITION);
	assert_int_equal(get(t).now.number[SVC_MTU], 1420);
	assert_int_equal(svc_settings_patch(t->s, &t->admin, 1, &c, &st, &t->e), 0);
	assert_int_equal(st.revision, 2);
	assert_int_equal(svc_settings_patch(t->s, &t->admin, 1, &c, &st, &t->e), SVC_PRECONDITION);
	assert_int_equal(svc_audit_list(t->s, &t->admin, &p, &f, &list, &n, &more, &t->e), 0);
	assert_int_equal(n, 1);
	assert_false(more);
	assert_string_equal(list[0].detail, "mtu");
	free(list);
}

/* Rows that are too old by the new measure go with the next second, not the next hour. */
static void retention_holds_at_once(void **state)
{
	struct servicetest *t = *state;
	struct svc_settings_change c = number(SVC_AUDIT_DAYS, 1);
	struct svc_audit_state st;

	service_stop(t->s); /* nothing in the background */
	assert_int_equal(audit_tick(t->s), 0);
	t->clock.real_us += 2 * 86400LL * 1000000;
	assert_int_equal(audit_tick(t->s), 0);
	assert_int_equal(svc_audit_verify(t->s, &t->admin, &st, &t->e), 0);
	assert_int_equal(st.first, 1);
	assert_int_equal(patch(t, &c), 0);
	assert_int_equal(audit_tick(t->s), 0);
	assert_int_equal(svc_audit_verify(t->s, &t->admin, &st, &t->e), 0);
	assert_true(st.ok);
	assert_int_equal(st.first, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(begins_as_given_at_start),
		T(a_change_wins_until_it_is_taken_back),
		T(an_empty_list_is_not_the_default),
		T(the_next_profile_has_it),
		T(the_coordinator_hears_of_it),
		T(numbers_have_bounds),
		T(hosts_and_resolvers_are_looked_at),
		T(only_admins_change_them),
		T(if_match_and_the_audit_log),
		T(retention_holds_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
