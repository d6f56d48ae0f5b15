/* Certificate requests from outside. The first byte says whether the rest is the text itself or
 * what stands in its block, so that the parser behind base64 is reached too. */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "openssl_pool.h"
#include "pki/csr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	openssl_pool_init();
	return 0;
}

enum { LARGEST = 6000 };

static void wrap(const uint8_t *der, size_t n, char *text)
{
	static const char begin[] = "-----BEGIN CERTIFICATE REQUEST-----\n",
			  end[] = "-----END CERTIFICATE REQUEST-----\n";
	char *at = text + sizeof(begin) - 1;

	memcpy(text, begin, sizeof(begin) - 1);
	for (size_t i = 0; i < n; i += 48) {
		at += EVP_EncodeBlock((unsigned char *)at, der + i, (int)(n - i < 48 ? n - i : 48));
		*at++ = '\n';
	}
	memcpy(at, end, sizeof(end));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char text[2 * LARGEST];
	const char *why = NULL;
	EVP_PKEY *key = NULL;
	int rc;

	if (size < 1 || size > LARGEST)
		return 0;
	if (data[0] & 1) {
		wrap(data + 1, size - 1, text);
	} else {
		memcpy(text, data + 1, size - 1);
		text[size - 1] = '\0';
	}
	rc = csr_key(text, &key, &why);
	if ((rc == 0) != (key != NULL) || (rc == -EINVAL) != (why != NULL))
		abort();
	EVP_PKEY_free(key);
	ERR_clear_error();
	return 0;
}
