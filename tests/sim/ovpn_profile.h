/* A profile as the service hands it out, made into what our own client needs. For tests and tools.
 */
#ifndef SIM_OVPN_PROFILE_H
#define SIM_OVPN_PROFILE_H

#include "base/compiler.h"
#include "ovpn_client.h"

/* Reads certificate, key, authority and the tls-crypt-v2 key out of the text of a profile. The
 * caller owns conf->tls then. Returns: 0, -EINVAL. */
int ovpn_profile_read(struct ovpn_client_conf *conf, const char *text) must_check;

#endif
