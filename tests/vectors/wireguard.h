/*
 * WireGuard.
 * kdf_vectors: wireguard-go, device/kdf_test.go.
 * b11_*: a whole handshake, made with code that was verified against wireguard-go on the wire
 * (protocol reference, B11). Indices are in wire order.
 */
#ifndef VECTORS_WIREGUARD_H
#define VECTORS_WIREGUARD_H

struct kdf_vector {
	const char *key, *input, *t[3];
};
static const struct kdf_vector kdf_vectors[] = {
	{"746573742d6b6579", "746573742d696e707574",
		{"6f0e5ad38daba1bea8a0d213688736f19763239305e0f58aba697f9ffc41c633",
			"df1194df20802a4fe594cde27e92991c8cae66c366e8106aaa937a55fa371e8a",
			"fac6e2745a325f5dc5d11a5b165aad08b0ada28e7b4e666b7c077934a4d76c24"}},
	{"776972656775617264", "776972656775617264",
		{"491d43bbfdaa8750aaf535e334ecbfe5129967cd64635101c566d4caefda96e8",
			"1e71a379baefd8a79aa4662212fcafe19a23e2b609a3db7d6bcba8f560e3d25f",
			"31e1ae48bddfbe5de38f295e5452b1909a1b4e38e183926af3780b0c1e1f0160"}},
	{"", "",
		{"8387b46bf43eccfcf349552a095d8315c4055beb90208fb1be23b894bc2ed5d0",
			"58a0e5f6faefccf4807bff1f05fa8a9217945762040bcec2f4b4a62bdfe0e86e",
			"0ce6ea98ec548f8e281e93e32db65621c45eb18dc6f0a7ad94178610a2f7338e"}},
};

/* Private keys and psk are one byte 32 times. */
enum { B11_S_I = 0x11, B11_S_R = 0x22, B11_E_I = 0x33, B11_E_R = 0x44, B11_PSK = 0x55 };
static const char b11_timestamp[] = "400000005f00000a01000000";
static const char b11_index_i[] = "01020304";
static const char b11_index_r[] = "0a0b0c0d";
static const char b11_s_i_public[] =
	"7b4e909bbe7ffe44c465a220037d608ee35897d31ef972f07f74892cb0f73f13";
static const char b11_s_r_public[] =
	"0faa684ed28867b97f4a6a2dee5df8ce974e76b7018e3f22a1c4cf2678570f20";
static const char b11_initiation[] =
	"01000000010203047b0d47d93427f8311160781c7c733fd89f88970aef490d8aa0ee19a4cb8a1b1481e498317d"
	"a959fba46669572516a5e6c021bfa620bb6c56ca0082e1feae14988c2c64d024c617734a263f76a008df04d0f9"
	"4badb4b4afc8e0c26955a884fd91cbfc3b2a3e609501a7ffe2b8c77d163b40d21081e2d5af4927107b08000000"
	"00000000000000000000000000";
static const char b11_response[] =
	"020000000a0b0c0d01020304ff2ee45601ec1b67310c7790404585ae697331eee1c1f8cf2419731c1fff3e6b95"
	"e2dbfe66139a5be7a9c09c1531153dbbf6a85ac58f035864215abd1b894d860000000000000000000000000000"
	"0000";
static const char b11_t1[] = "a007faf842d83f5bd3be20a14e0ffcec34c84867b78b051980602713205922de";
static const char b11_t2[] = "d982d5cd10d34a7802b6c19fa441cd9164d70e4f4d62007ab416879ee8bd1b99";
static const char b11_keepalive[] =
	"040000000a0b0c0d0000000000000000f1bce9fd9651b3f6b50c00179cbd1e01";

static const char initial_chain_hex[] =
	"60e26daef327efc02ec335e2a025d2d016eb4206f87277f52d38d1988b78cd36";
static const char initial_hash_hex[] =
	"2211b361081ac566691243db458ad5322d9c6c662293e8b70ee19c65ba079ef3";

#endif
