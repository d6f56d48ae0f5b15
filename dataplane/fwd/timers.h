/* What packets do to a peer's timers (reference B6; of OpenVPN the tick only needs to know when
 * something was last sent and received). Called once per run of packets, by workers and, for
 * keepalives, by the control thread. Cheap when nothing changes. */
#ifndef FWD_TIMERS_H
#define FWD_TIMERS_H

#include <stdint.h>

struct peer;
struct session;

/* Anything sealed was sent: T6 is settled; T2 and T3 are looked at. */
void on_any_sent(struct peer *p, const struct session *s, uint64_t now);
/* What was sent carried data: T7 starts. Calls on_any_sent. */
void on_data_sent(struct peer *p, uint32_t worker, const struct session *s, uint64_t now);
/* Anything that authenticates has come: T7 is settled; T4 is looked at. */
void on_any_received(struct peer *p, uint32_t worker, struct session *s, uint64_t now);
/* What came carried data: T6 starts. */
void on_data_received(struct peer *p, const struct session *s, uint64_t now);
/* A handshake counts as traffic both ways: T6 and T7 are settled. */
void on_handshake(struct peer *p);

#endif
