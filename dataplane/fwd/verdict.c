/* The names of the verdicts, from the table. */
#include "fwd/verdict.h"

#include "base/compiler.h"

#define NAME(E, name, meaning) [FWD_##E] = name,
static const char *const names[] = {FWD_VERDICTS(NAME)};
#undef NAME

const char *fwd_verdict_name(enum fwd_verdict v)
{
	return (unsigned int)v < ARRAY_SIZE(names) ? names[v] : "";
}
