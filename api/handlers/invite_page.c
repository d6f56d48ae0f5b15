#include "api/handlers/invite_page.h"

#include <string.h>

#include "api/memory.h"
#include "api/text.h"
#include "base/codec.h"

#define HEAD(title)                                                                                \
	"<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"                  \
	"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"               \
	"<meta name=\"robots\" content=\"noindex, nofollow\">\n"                                   \
	"<link rel=\"icon\" href=\"data:,\">\n" /* or browsers ask for /favicon.ico */             \
	"<title>" title "</title>\n<link rel=\"stylesheet\" href=\"/invite.css\">\n</head>\n"      \
	"<body>\n<main>\n<h1>" title "</h1>\n"
#define FOOT "</main>\n</body>\n</html>\n"

const char invite_page_landing[] =
	HEAD("Your VPN profile") "<p>This link gives you the profile that connects one device to "
				 "the VPN. It works "
				 "<strong>once</strong>: go on only on the device that is to be "
				 "connected, or with it at "
				 "hand.</p>\n"
				 "<form method=\"post\"><button type=\"submit\">Get my "
				 "profile</button></form>\n"
				 "<p class=\"small\">A profile is a key: whoever has it is let in. "
				 "Don't pass it on.</p>\n" FOOT;

const char invite_page_gone[] =
	HEAD("This link is no longer valid") "<p>It was used already, or its time is over. Ask "
					     "whoever sent it for a new one.</p>\n" FOOT;

const char invite_page_later[] =
	HEAD("Too many links were tried") "<p>Wait a minute, then open the link again.</p>\n" FOOT;

const char invite_page_failed[] =
	HEAD("That did not work") "<p>The profile can't be made right now. Try the link again "
				  "later, or ask whoever sent it "
				  "for a new one.</p>\n" FOOT;

const char invite_page_css[] =
	":root{color-scheme:light dark;--bg:#f5f6f8;--panel:#fff;--line:#d9dde3;--ink:#171b21;"
	"--soft:#555f6c;--accent:#2b4fa8;--on-accent:#fff}\n"
	"@media(prefers-color-scheme:dark){:root{--bg:#101318;--panel:#181c22;--line:#2c333c;"
	"--ink:#e6e9ed;--soft:#a1abb8;--accent:#94b4ff;--on-accent:#0c1630}}\n"
	"*{box-sizing:border-box}\n"
	"body{margin:0;padding:1rem;background:var(--bg);color:var(--ink);"
	"font:1rem/1.5 system-ui,sans-serif}\n"
	"main{max-width:44rem;margin:4vh auto 0;padding:1.5rem;border:1px solid var(--line);"
	"border-radius:10px;background:var(--panel)}\n"
	"h1{margin:0 0 1rem;font-size:1.4rem;line-height:1.25}\n"
	"button,.button{display:inline-block;padding:.6rem 1.1rem;border:0;border-radius:6px;"
	"background:var(--accent);color:var(--on-accent);font:inherit;font-weight:600;"
	"text-decoration:none;overflow-wrap:anywhere;cursor:pointer}\n"
	"button:focus-visible,.button:focus-visible{outline:2px solid var(--accent);"
	"outline-offset:2px}\n"
	"img{display:block;width:min(20rem,100%);margin:1rem 0;padding:6px;border-radius:6px;"
	"background:#fff}\n"
	"pre{white-space:pre-wrap;overflow-wrap:anywhere;padding:.8rem;border:1px solid "
	"var(--line);border-radius:6px;"
	"background:var(--bg);font-size:.85rem}\n"
	".small{margin-bottom:0;color:var(--soft);font-size:.9rem}\n";

static void put_escaped(struct text *t, const char *s)
{
	static const struct {
		char c;
		const char *entity;
	} special[] = {
		{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&quot;"}, {'\'', "&#39;"}};

	while (*s) {
		size_t i = 0, plain = strcspn(s, "&<>\"'");

		text_add(t, "%.*s", (int)plain, s);
		s += plain;
		while (*s && i < ARRAY_SIZE(special) && special[i].c != *s)
			i++;
		if (*s && i < ARRAY_SIZE(special)) {
			text_add(t, "%s", special[i].entity);
			s++;
		}
	}
}

static void draw(struct text *t, const struct svc_issued *i, const char *file, const char *image)
{
	text_add(t, HEAD("Your VPN profile"));
	text_add(t, "<p>Keep it now: this page can't be opened again.</p>\n");
	text_add(t, "<p><a class=\"button\" download=\"");
	put_escaped(t, i->profile_filename);
	text_add(t, "\" href=\"data:application/octet-stream;base64,%s\">Save ", file);
	put_escaped(t, i->profile_filename);
	text_add(t, "</a></p>\n");
	if (image)
		text_add(t,
			"<p>Or scan it with the app on the device:</p>\n<img alt=\"QR code of the "
			"profile\" src=\"data:image/svg+xml;base64,%s\">\n",
			image);
	text_add(t, "<p>Or copy it:</p>\n"
		    "<pre tabindex=\"0\" role=\"region\" aria-label=\"Profile\">");
	put_escaped(t, i->profile);
	text_add(t, "</pre>\n" FOOT);
}

/* Returns: owned (memory_free), or NULL. */
static char *base64_of(const char *text)
{
	const size_t n = strlen(text);
	char *out = memory_alloc(BASE64_TEXT(n));

	if (out)
		base64_encode(text, n, out);
	return out;
}

char *invite_page_profile(const struct svc_issued *i, const char *svg)
{
	char *file = base64_of(i->profile), *image = svg ? base64_of(svg) : NULL;
	struct text t = {.failed = !file || (svg && !image)};
	size_t len;

	if (!t.failed)
		draw(&t, i, file, image);
	memory_free(file);
	memory_free(image);
	return text_take(&t, &len);
}
