/* Getting a session by a client's profile, whichever protocol it is for: the real handshake. */
#ifndef BENCH_ENTRY_H
#define BENCH_ENTRY_H

#include <netinet/in.h>

#include "base/compiler.h"
#include "lane.h"
#include "outer.h"

struct entry {
	struct outer outer;
	struct lane lane;
	struct in_addr own; /* the address inside of the tunnel */
};

/* fd is a socket that is connected to the server: UDP, or TCP for OpenVPN. Of an OpenVPN profile's
 * data-ciphers only the first line counts. Ends the program, saying why, when there is no session
 * within ten seconds. */
void entry_make(struct entry *e, int fd, const char *profile);

#endif
