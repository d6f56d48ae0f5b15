/*
 * BLAKE2s.
 * RFC 7693: appendix B ("abc"), and the published known-answer file blake2s-kat (key 00..1f, no
 * input). mac16_*, hmac_*: CPython's hashlib and hmac, that is the BLAKE2 authors' reference code;
 * keys and messages are the bytes 00, 01, 02, ...
 */
#ifndef VECTORS_BLAKE2S_H
#define VECTORS_BLAKE2S_H

#include <stddef.h>

static const char blake2s_abc[] =
	"508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982";
static const char blake2s_keyed_empty_32[] =
	"48a8997da407876b3d79c0d92325ad3b89cbb754d86ab71aee047ad345fd2c49";

struct blake2s_vector {
	size_t key_len, message_len;
	const char *out;
};
static const struct blake2s_vector blake2s_mac16[] = {
	{32, 0, "9536f9b267655743dee97b8a670f9f53"},
	{32, 3, "1e2a79436a7796a3e9826bfedf07659f"},
	{16, 100, "56301549e674c3b72a0e1dafb7a2c620"},
	{1, 64, "2ba2b6488a75dba441264fb7e2aec115"},
	{32, 65, "811ff8686d23a435ecbd0bdafcd27b1b"},
};
static const struct blake2s_vector blake2s_hmac32[] = {
	{0, 0, "eaf4bb25938f4d20e72656bbbc7a9bf63c0c18537333c35bdb67db1402661acd"},
	{32, 33, "3d83dfea00d3d4b8c054cd14ae63867405c8e182c4034db1b2268d716c4642c3"},
	{64, 200, "690ee478866a3698f0ed2e87e8b25fcb63e56f6c2e6baa69acec75b6d645d1ae"},
};

#endif
