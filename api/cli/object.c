#include "api/cli/object.h"

enum exit_code object_get(struct args *a, enum object o, struct rest_answer *out)
{
	char path[PATH_TEXT];
	const enum exit_code rc = find_path(a, o, path);

	if (rc)
		return rc;
	return rest_call(&a->rest, "GET", path, NULL, out) ? EXIT_FINE
							   : fail_rest(a->command->words, out);
}

enum exit_code object_switch(
	struct args *a, enum object o, const char *member, bool value, const char *done)
{
	char path[PATH_TEXT];
	const enum exit_code rc = find_path(a, o, path);

	return rc ? rc : change(a, "PATCH", path, json_pack("{s:b}", member, value), done);
}

enum exit_code object_remove(struct args *a, enum object o, const char *with)
{
	char path[PATH_TEXT];
	enum exit_code rc = find_path(a, o, path);

	if (rc == EXIT_FINE)
		rc = confirm(a, "Delete %s %s%s?", object_kind(o), a->operand[0], with);
	return rc ? rc : change(a, "DELETE", path, NULL, "Deleted.");
}
