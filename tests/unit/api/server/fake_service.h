/*
 * A service of constants, instead of the real one: every function of service/service.h and its
 * neighbours that the API calls, so the linker never takes the real ones out of the archive. It
 * says what it is told to say, and keeps what it was asked.
 */
#ifndef TESTS_FAKE_SERVICE_H
#define TESTS_FAKE_SERVICE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/events.h"
#include "service/invites.h"
#include "service/once.h"
#include "service/service.h"

struct fake_service {
	atomic_int calls;		  /* of use-cases, not of authentication */
	atomic_int slow_ms;		  /* how long a use-case takes */
	atomic_uint devices;		  /* length of the device list */
	atomic_int outcome;		  /* what use-cases return */
	atomic_uint backup_size, backups; /* of one; that are not ended */
	struct svc_user_change user;
	struct svc_device_change device;
	char name[128];
	char csr[256]; /* of the last credential that was asked for */
	int once;      /* what svc_once_begin says */
	int begun, ended;
	bool remembered;
	char location[64];
	uint8_t request_sha256[32], key_sha256[32];
	int rendered; /* what render said, and made */
	struct svc_answer answer;
	struct svc_settings_change settings;
	struct svc_audit_filter filter;
	char refused[160]; /* what the audit log was told last */
	atomic_int refusals;
	bool openvpn; /* live tunnels are OpenVPN's, over TCP */
	uint16_t tls;
	atomic_int stands; /* what is said of whoever reads events */
	struct svc_traffic_request traffic;
	struct ip_addr from; /* of the last login, invite that was opened, or list of users */
};

extern struct fake_service fake;

/* Real ones; client.h's start makes them. */
extern struct events *events;

/* The id of every object there is. */
extern const struct ulid some_id;

/* It remembers nothing, and there is one device. */
void fake_service_reset(void);

/* Until that many backups are not ended. */
void wait_for_backups(unsigned n);

#endif
