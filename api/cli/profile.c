#include "api/cli/profile.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api/cli/files.h"
#include "api/cli/find.h"

const char *protocol_of(const struct args *a)
{
	return option(a, OPT_PROTOCOL) ? option(a, OPT_PROTOCOL) : "wireguard";
}

static bool is_openvpn(const char *protocol)
{
	return strcmp(protocol, "openvpn") == 0;
}

/* What the server calls it, as long as that is a plain name in this folder. */
static const char *plain_name(const char *name)
{
	return name[0] == '\0' || name[0] == '.' || strchr(name, '/') ? NULL : name;
}

enum exit_code profile_open(struct profile *p, const struct args *a, const char *name)
{
	const char *output = option(a, OPT_OUTPUT);

	*p = (struct profile){.fd = -1};
	if (option(a, OPT_QR) && is_openvpn(protocol_of(a)))
		return fail_usage("--qr: an OpenVPN profile is too long for a QR code");
	p->to_stdout = output && strcmp(output, "-") == 0;
	if (p->to_stdout || (!output && (option(a, OPT_QR) || option(a, OPT_JSON))))
		return EXIT_FINE;
	p->guessed = !output;
	if (output)
		snprintf(p->path, sizeof(p->path), "%s", output);
	else
		snprintf(p->path, sizeof(p->path), "%.200s.%s", name,
			is_openvpn(protocol_of(a)) ? "ovpn" : "conf");
	if (p->guessed && !plain_name(p->path))
		return fail("%s is no file name, --output says where to write", p->path);
	p->fd = secret_file_create(p->path);
	return p->fd < 0 ? fail("%s: %s", p->path, strerror(-p->fd)) : EXIT_FINE;
}

void profile_cancel(struct profile *p)
{
	if (p->fd < 0)
		return;
	close(p->fd);
	unlink(p->path);
	p->fd = -1;
}

/* wg-quick names the interface after the file, so the server may have shortened it. */
static void rename_as_told(struct profile *p, const char *told)
{
	const char *name = plain_name(told);

	if (!p->guessed || !name || strcmp(name, p->path) == 0)
		return;
	if (link(p->path, name) == 0 && unlink(p->path) == 0)
		snprintf(p->path, sizeof(p->path), "%s", name);
}

static void say_how(const char *protocol, const char *path)
{
	const char *here = strchr(path, '/') ? "" : "./";

	tell("The profile is in %s. It is given only this once.", path);
	if (is_openvpn(protocol)) {
		tell("Use it here:       openvpn --config %s%s", here, path);
		tell("or elsewhere:      import the file in an OpenVPN app");
	} else {
		tell("Use it here:       wg-quick up %s%s", here, path);
		tell("or as a QR code:   qrencode -t ansiutf8 < %s", path);
	}
}

static enum exit_code write_file(struct profile *p, const struct args *a, const json_t *credential)
{
	int rc;

	rename_as_told(p, rest_text(credential, "profile_filename"));
	rc = write_all(p->fd, rest_text(credential, "profile"));
	if (rc == 0 && fsync(p->fd))
		rc = -errno;
	if (close(p->fd) && rc == 0)
		rc = -errno;
	p->fd = -1;
	if (rc)
		return fail("%s: %s", p->path, strerror(-rc));
	if (!option(a, OPT_JSON))
		say_how(rest_text(credential, "protocol"), p->path);
	return EXIT_FINE;
}

enum exit_code profile_put(struct profile *p, const struct args *a, const json_t *credential)
{
	enum exit_code rc = EXIT_FINE;
	int err;

	if (p->fd >= 0)
		rc = write_file(p, a, credential);
	if (option(a, OPT_JSON)) {
		print_json(credential);
	} else if (p->to_stdout) {
		err = write_all(STDOUT_FILENO, rest_text(credential, "profile"));
		rc = err ? fail("stdout: %s", strerror(-err)) : rc;
	}
	if (rc == EXIT_FINE && option(a, OPT_QR) && !option(a, OPT_JSON))
		rc = qr_draw(rest_text(credential, "profile"));
	return rc;
}
