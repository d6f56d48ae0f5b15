/*
 * RFC 8439, appendix A.5 (its constant part of the nonce is zero, as WireGuard's is), and
 * draft-irtf-cfrg-xchacha-03, A.3.1.
 */
#ifndef VECTORS_CHACHA_H
#define VECTORS_CHACHA_H

static const char a5_key[] = "1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0";
static const char a5_nonce[] = "0102030405060708"; /* behind four zero bytes */
static const char a5_aad[] = "f33388860000000000004e91";
static const char a5_plain[] =
	"Internet-Drafts are draft documents valid for a maximum of six months and may be updated, "
	"replaced, or obsoleted by other documents at any time. It is inappropriate to use "
	"Internet-Drafts as reference material or to cite them other than as "
	"/\xe2\x80\x9cwork in progress./\xe2\x80\x9d";
static const char a5_sealed[] =
	"64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb24c6cfc18755d43eea09ee94e38"
	"2d26b0bdb7b73c321b0100d4f03b7f355894cf332f830e710b97ce98c8a84abd0b948114ad176e008d33bd60f9"
	"82b1ff37c8559797a06ef4f0ef61c186324e2b3506383606907b6a7c02b0f9f6157b53c867e4b9166c767b804d"
	"46a59b5216cde7a4e99040c5a40433225ee282a1b0a06c523eaf4534d7f83fa1155b0047718cbc546a0d072b04"
	"b3564eea1b422273f548271a0bb2316053fa76991955ebd63159434ecebb4e466dae5a1073a6727627097a1049"
	"e617d91d361094fa68f0ff77987130305beaba2eda04df997b714d6c6f2c29a6ad5cb4022b02709b"
	"eead9d67890cbb22392336fea1851f38";

static const char xchacha_key[] =
	"808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f";
static const char xchacha_nonce[] = "404142434445464748494a4b4c4d4e4f5051525354555657";
static const char xchacha_aad[] = "50515253c0c1c2c3c4c5c6c7";
static const char xchacha_plain[] = "Ladies and Gentlemen of the class of '99: If I could offer "
				    "you only one tip for the future, "
				    "sunscreen would be it.";
static const char xchacha_sealed[] =
	"bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4e"
	"da7e39ae64c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2"
	"383565d3fff921f9664c97637da9768812f615c68b13b52e"
	"c0875924c1c7987947deafd8780acf49";

#endif
