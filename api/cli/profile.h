/* Where the profile of a credential goes: a file that only its owner reads, stdout, or a QR code.
 */
#ifndef API_CLI_PROFILE_H
#define API_CLI_PROFILE_H

#include "api/cli/command.h"

struct profile {
	int fd; /* -1: no file */
	bool to_stdout, guessed;
	char path[256];
};

/* Before anything is asked of the server: what can't be written is not asked for, and what exists
 * is never overwritten. name: of the device. Returns: EXIT_FINE, or what was told. */
enum exit_code profile_open(struct profile *p, const struct args *a, const char *name) must_check;
/* Nothing comes: the empty file goes. */
void profile_cancel(struct profile *p);
/* Writes the credential's profile, or with --json the credential, and says how to go on. */
enum exit_code profile_put(
	struct profile *p, const struct args *a, const json_t *credential) must_check;

/* wireguard unless --protocol says openvpn. */
const char *protocol_of(const struct args *a);
/* Draws text on stdout as a QR code of half blocks. Returns: EXIT_FINE, EXIT_FAILED. */
enum exit_code qr_draw(const char *text) must_check;

#endif
