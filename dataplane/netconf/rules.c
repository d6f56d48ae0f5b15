/*
 * libnftables runs the text of ruleset.c. What the kernel can do is found out by trying: the first
 * set of features that it takes is kept.
 */
#include "netconf/rules.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nftables/libnftables.h>

#include "base/log.h"
#include "netconf/ruleset.h"

struct rules {
	struct nft_ctx *nft;
	char text[RULESET_TEXT];
	char table[16];	   /* "" until it stands */
	unsigned features; /* that it stands with */
};

/* Best first. */
static const unsigned ladder[] = {
	RULESET_OWNER | RULESET_FLOW_CAP,
	RULESET_FLOW_CAP,
	RULESET_OWNER,
	0,
};

int rules_new(struct rules **out)
{
	struct rules *r = calloc(1, sizeof(*r));
	if (r == NULL)
		return -ENOMEM;

	r->nft = nft_ctx_new(NFT_CTX_DEFAULT);
	if (r->nft == NULL || nft_ctx_buffer_output(r->nft) != 0 ||
		nft_ctx_buffer_error(r->nft) != 0) {
		rules_free(r);
		return -ENOMEM;
	}
	*out = r;
	return 0;
}

/* First line of what nft says. */
static void log_refusal(struct rules *r, enum log_level level)
{
	const char *why = nft_ctx_get_error_buffer(r->nft);

	if (log_enabled(level))
		log_write(
			level, "netconf", "nftables: refused, %.*s", (int)strcspn(why, "\n"), why);
}

static int try_features(struct rules *r, const struct netconf_static *conf,
	const struct netconf_networks *w, unsigned features)
{
	unsigned replace = r->table[0] != '\0' ? RULESET_REPLACE : 0;
	int err = ruleset_text(r->text, sizeof(r->text), conf, w, features | replace);
	if (err != 0)
		return err;
	if (nft_run_cmd_from_buffer(r->nft, r->text) != 0)
		return -EPROTO;

	static_assert(sizeof(r->table) == sizeof(conf->tun), "a table is named like the TUN");
	memcpy(r->table, conf->tun, sizeof(r->table));
	r->features = features;
	return 0;
}

int rules_apply(
	struct rules *r, const struct netconf_static *conf, const struct netconf_networks *w)
{
	if (r->table[0] != '\0') {
		int err = try_features(r, conf, w, r->features);
		if (err == -EPROTO)
			log_refusal(r, LOG_ERROR);
		return err;
	}

	int err = -EPROTO;
	for (size_t i = 0; i < ARRAY_SIZE(ladder) && err == -EPROTO; i++) {
		err = try_features(r, conf, w, ladder[i]);
		if (err == -EPROTO)
			log_refusal(r, i + 1 < ARRAY_SIZE(ladder) ? LOG_DEBUG : LOG_ERROR);
	}
	if (err == 0 && !(r->features & RULESET_FLOW_CAP))
		log_warn("netconf",
			"nftables: %s: flows per device are not limited, "
			"the kernel has no ct count",
			conf->tun);
	if (err == 0 && !(r->features & RULESET_OWNER))
		log_warn("netconf",
			"nftables: %s: a flush of the host's ruleset would remove "
			"ours too, the kernel has no owned tables",
			conf->tun);
	return err;
}

void rules_remove(struct rules *r)
{
	char cmd[64];

	if (r->table[0] == '\0')
		return;
	snprintf(cmd, sizeof(cmd), "delete table inet %s\n", r->table);
	if (nft_run_cmd_from_buffer(r->nft, cmd) != 0)
		log_refusal(r, LOG_ERROR);
	r->table[0] = '\0';
}

void rules_free(struct rules *r)
{
	if (r == NULL)
		return;
	if (r->nft != NULL)
		nft_ctx_free(r->nft);
	free(r);
}
