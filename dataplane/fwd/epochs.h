/*
 * A session's epochs (reference A11.4, A14.2): the secrets of both directions, and when the keys
 * made from them change.
 *
 *      workers                                   control thread, at a tick
 *      a later epoch came   -> rx.epochs->epoch  -> makes the keys ahead up to four again, raises
 *                                                   our own epoch to the client's
 *      many blocks sealed   -> sealing           -> our own next epoch, long before the limit
 *
 * So no worker derives, makes or frees a key, and a client that runs through its epochs gets at
 * most four more a second.
 */
#ifndef FWD_EPOCHS_H
#define FWD_EPOCHS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "crypto/epoch.h"
#include "fwd/opening.h"

struct fwd_session;
struct session;

enum { EPOCHS_GAP_MS = 1000 };

/* Of the control thread, but for rx. */
struct epochs {
	struct epoch_rx rx;
	enum aead_cipher cipher;
	uint8_t open_secret[EPOCH_SECRET]; /* of the last epoch there is a key for */
	uint8_t seal_secret[EPOCH_SECRET]; /* of the epoch that is sealed with */
	uint16_t open_last;
	uint16_t used;	   /* the last epoch before this one that something was sealed with */
	uint64_t grown_at; /* when the client last had us make keys, +1 */
};

/* Makes the first epoch's keys of both directions and those ahead; what there is after a failure
 * epochs_fini takes away. Returns: 0, -ENOMEM, -EIO. */
int epochs_init(struct session *s, const struct fwd_session *keys, uint32_t sealers) must_check;
/* Wipes and frees. A session without epochs is nothing. */
void epochs_fini(struct session *s);

/* Does what is due at a tick; what fails is tried again by a later one. Puts a sealing that was
 * replaced in front of old, to be freed after the workers were waited for. Returns: the new list.
 */
struct sealing *epochs_keep(struct session *s, uint32_t sealers, uint64_t now, struct sealing *old);

#endif
