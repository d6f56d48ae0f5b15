#include "api/cli/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "base/secret.h"

int token_path(char out[TOKEN_PATH])
{
	const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	int n;

	if (xdg && xdg[0] == '/')
		n = snprintf(out, TOKEN_PATH, "%s/ireko/token", xdg);
	else if (home && home[0] == '/')
		n = snprintf(out, TOKEN_PATH, "%s/.config/ireko/token", home);
	else
		return -ENOENT;
	return n < TOKEN_PATH ? 0 : -ENAMETOOLONG;
}

/* Reads up to the end or a newline. Returns: length, -EINVAL (too long), -errno. */
static int read_line(int fd, char *out, size_t cap)
{
	size_t n = 0;

	while (n < cap) {
		const ssize_t got = read(fd, out + n, 1);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0 || out[n] == '\n') {
			out[n] = '\0';
			return (int)n;
		}
		n++;
	}
	return -EINVAL;
}

int token_load(const char *file, char out[TOKEN_MAX])
{
	char path[TOKEN_PATH];
	int fd, rc = file ? 0 : token_path(path);

	if (rc)
		return rc;
	fd = open(file ? file : path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	rc = read_line(fd, out, TOKEN_MAX);
	close(fd);
	return rc < 0 ? rc : rc == 0 ? -EINVAL : 0;
}

/* Beside the token, in a file of its own: scripts read the other one. */
static void id_path(char out[TOKEN_PATH + 3], const char *path)
{
	snprintf(out, TOKEN_PATH + 3, "%s.id", path);
}

void token_stored_id(char out[TOKEN_MAX])
{
	char path[TOKEN_PATH], file[TOKEN_PATH + 3];

	out[0] = '\0';
	if (token_path(path))
		return;
	id_path(file, path);
	if (token_load(file, out))
		out[0] = '\0';
}

static int make_folders(const char *path)
{
	char folder[TOKEN_PATH];

	snprintf(folder, sizeof(folder), "%s", path);
	for (char *p = folder + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(folder, 0700) && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	return 0;
}

int write_all(int fd, const char *text)
{
	return write_bytes(fd, text, strlen(text));
}

int write_bytes(int fd, const char *text, size_t left)
{
	while (left > 0) {
		const ssize_t n = write(fd, text, left);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		left -= (size_t)n;
	}
	return 0;
}

int secret_file_create(const char *path)
{
	const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

	return fd < 0 ? -errno : fd;
}

/* Whole or not at all, mode 0600. */
static int replace_file(const char *path, const char *line)
{
	char fresh[TOKEN_PATH + 16];
	int fd, rc;

	snprintf(fresh, sizeof(fresh), "%s.XXXXXX", path);
	fd = mkostemp(fresh, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	rc = write_all(fd, line);
	if (rc == 0)
		rc = write_all(fd, "\n");
	if (close(fd) && rc == 0)
		rc = -errno;
	if (rc == 0 && rename(fresh, path))
		rc = -errno;
	if (rc)
		unlink(fresh);
	return rc;
}

int token_save(const char *token, const char *id)
{
	char path[TOKEN_PATH], file[TOKEN_PATH + 3];
	int rc = token_path(path);

	if (rc == 0)
		rc = make_folders(path);
	if (rc)
		return rc;
	id_path(file, path);
	rc = replace_file(path, token);
	return rc ? rc : replace_file(file, id);
}

int token_forget(void)
{
	char path[TOKEN_PATH], file[TOKEN_PATH + 3];
	int rc = token_path(path);

	if (rc)
		return rc;
	id_path(file, path);
	if (unlink(path) && errno != ENOENT)
		return -errno;
	return unlink(file) && errno != ENOENT ? -errno : 0;
}

int file_read(const char *path, char *out, size_t cap)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t n = 0;
	ssize_t got = 1;

	if (fd < 0)
		return -errno;
	while (got != 0 && n < cap) {
		got = read(fd, out + n, cap - n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			break;
		n += (size_t)got;
	}
	close(fd);
	if (got < 0)
		return -EIO;
	if (n == cap)
		return -EFBIG;
	out[n] = '\0';
	return (int)n;
}

int password_load(const char *file, char out[PASSWORD_MAX])
{
	char text[PASSWORD_MAX + 1];
	int n = file_read(file, text, sizeof(text));

	if (n > 0 && text[n - 1] == '\n')
		text[--n] = '\0';
	if (n == -EFBIG || n == 0 || n >= PASSWORD_MAX)
		n = -EINVAL;
	if (n > 0)
		memcpy(out, text, (size_t)n + 1);
	secret_wipe(text, sizeof(text));
	return n < 0 ? n : 0;
}

int password_read(const char *prompt, char out[PASSWORD_MAX])
{
	struct termios before, silent;
	const bool terminal = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &before) == 0;
	int n;

	if (terminal) {
		silent = before;
		silent.c_lflag &= ~(tcflag_t)ECHO;
		fprintf(stderr, "%s: ", prompt);
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
	}
	n = read_line(STDIN_FILENO, out, PASSWORD_MAX);
	if (terminal) {
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
		fputc('\n', stderr);
	}
	return n < 0 ? n : n == 0 ? -EINVAL : 0;
}
