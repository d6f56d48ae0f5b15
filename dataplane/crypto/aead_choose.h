/* Which library seals and opens: checked, measured, chosen, once at the start of the dataplane. */
#ifndef CRYPTO_AEAD_CHOOSE_H
#define CRYPTO_AEAD_CHOOSE_H

#include <stdint.h>

#include "crypto/aead.h"

enum aead_lib { AEAD_AUTO, AEAD_OPENSSL, AEAD_IPSEC_MB, AEAD_LIBS };

/* "auto", "openssl", "ipsec-mb". */
const char *aead_lib_name(enum aead_lib l);
/* Returns: 0, -EINVAL. */
int aead_lib_parse(const char *name, enum aead_lib *out) must_check;

struct aead_choice {
	enum aead_lib lib; /* for a cipher */
	/* Of a packet of 1420 bytes, sealing and opening taken together; 0: not measured. */
	uint32_t ns[AEAD_LIBS];
};
struct aead_report {
	struct aead_choice of[AEAD_CIPHERS_END];
	int ipsec_mb; /* 0, or why it was not considered: -ENOTSUP, -EIO, -ENOMEM */
};

/* After aead_init, while there is one thread; takes about 20 ms. AUTO: for each cipher the faster
 * of those that pass their self-test. Keys made before stay with who made them.
 * Returns: 0, or what kept the wanted one back: -ENOTSUP (not in this build, not on this
 * processor), -EIO (computes wrongly), -ENOMEM; then OpenSSL stays. */
int aead_choose(enum aead_lib want, struct aead_report *out) must_check;

#endif
