/* A certificate request from outside: what is taken of it is its public key, and nothing else. */
#ifndef PKI_CSR_H
#define PKI_CSR_H

#include <openssl/types.h>

#include "base/compiler.h"

enum { CSR_PEM_MAX = 8192 };

/* Takes the public key out of a PKCS #10 request in PEM: one block with nothing but white space
 * around it, at most CSR_PEM_MAX bytes; EC P-256 or P-384, Ed25519, RSA of 2048 to 4096 bits; its
 * signature proves that the key's owner made it. *key is returned owned. Returns: 0, -EINVAL with
 * *why a constant text that goes on after the field's name, -EIO. */
int csr_key(const char *pem, EVP_PKEY **key, const char **why) must_check;

#endif
