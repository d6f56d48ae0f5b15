/*
 * The whole API over loopback sockets, with the service of constants behind it, and a client that
 * says what it likes.
 */
#ifndef TESTS_API_CLIENT_H
#define TESTS_API_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/api.h"

enum { REQUEST_MS = 1500, MAX_CONNECTIONS = 40 };

#define HOST  "Host: localhost\r\n"
#define ADMIN "Authorization: Bearer admin\r\n"
#define JSON  "Content-Type: application/json\r\n"
#define ID    "01081G81860W40J2GB1G6GW3RG"

struct answer {
	unsigned status; /* 0: none */
	bool closed;	 /* by the server, after it */
	size_t len;
	char text[65536];
};

/* Who is asked. */
extern struct api *api;

/* For cmocka: of a group, of a group, of a test. */
int start(void **state);
int stop(void **state);
int fresh(void **state);

/* Another server is asked, for a few connections and with REQUEST_MS, until the_first_serves. */
void another_serves(const char *listen, struct api_conf conf);
void the_first_serves(void);

/* A connection. receive_buffer: bytes, 0 is the usual. */
int dial_with(int receive_buffer, unsigned patience_s);
int dial(void);

/* All of it, or what the server takes. */
void say(int fd, const char *text, size_t n);

/* Reads one answer; of a stream, its head. A second read tells whether the connection is over. */
void hear(int fd, struct answer *a);
bool is_over(int fd);

/* On a connection of its own. Returns: an answer that is good until the next one. */
struct answer *ask_bytes(const char *text, size_t n);
struct answer *ask(const char *text);

/* The same. line: method and path; fields: extra header lines; body: NULL is none. */
struct answer *request(const char *line, const char *fields, const char *body);

/* line: "HEAD /path". An answer without a body, which the connection ends with. */
const struct answer *ask_head(const char *line);

/* name: "ETag: ". It has to be there. */
void header_of(const struct answer *a, const char *name, char out[96]);

/* Milliseconds until the server ends the connection while one byte comes every 100 ms. */
unsigned drip(const char *begin, const char *more);

/* That many milliseconds are what a request may take. */
void assert_in_time(unsigned ms);

#endif
