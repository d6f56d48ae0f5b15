/*
 * Shell functions that know the table by heart: the words so far choose what may come next, the
 * option before the cursor what its value may be. Both shells get the same cases.
 */
#include <stdio.h>
#include <string.h>

#include "api/cli/help.h"
#include "api/cli/nouns.h"

static void option_words(FILE *out, uint32_t which)
{
	for (size_t i = 0; i < OPT_COUNT_OF; i++)
		if (which & 1U << i)
			fprintf(out, " --%s", option_defs[i].name);
}

/* The first n bytes are the same, and words end there. */
static bool begins(const char *words, const char *with, size_t n)
{
	return strncmp(words, with, n) == 0 && (words[n] == ' ' || words[n] == '\0');
}

/* The word of commands[i] at byte `from`, unless a row before has the same. */
static void next_word(FILE *out, size_t i, size_t from)
{
	const char *words = commands[i].words;
	const size_t n = strcspn(words + from, " ");

	if (n == 0)
		return;
	for (size_t k = 0; k < i; k++)
		if (begins(commands[k].words, words, from + n))
			return;
	fprintf(out, " %.*s", (int)n, words + from);
}

/* What may follow the words: "" for all first words. */
static void following(FILE *out, const char *words)
{
	const size_t n = strlen(words);

	for (size_t i = 0; i < n_commands; i++)
		if (n == 0)
			next_word(out, i, 0);
		else if (begins(commands[i].words, words, n) && commands[i].words[n] == ' ')
			next_word(out, i, n + 1);
}

static void list_names(FILE *out, bool (*wanted)(const struct option_def *o))
{
	bool first = true;

	for (size_t i = 0; i < OPT_COUNT_OF; i++) {
		const struct option_def *o = &option_defs[i];

		if (!wanted(o))
			continue;
		fprintf(out, "%s--%s", first ? "" : "|", o->name);
		if (o->letter)
			fprintf(out, "|-%c", o->letter);
		first = false;
	}
}

static bool takes_value(const struct option_def *o)
{
	return o->kind != VALUE_NONE;
}

static bool takes_file(const struct option_def *o)
{
	return o->kind == VALUE_FILE;
}

/* A case for each option whose value is one of a list. */
static void value_cases(FILE *out)
{
	for (size_t i = 0; i < OPT_COUNT_OF; i++) {
		const struct option_def *o = &option_defs[i];
		const char *const *w = value_words(o->kind);

		if (!w)
			continue;
		fprintf(out, "\t--%s", o->name);
		if (o->letter)
			fprintf(out, "|-%c", o->letter);
		fputs(") next=\"", out);
		for (; *w; w++)
			fprintf(out, "%s ", *w);
		fputs("\" ;;\n", out);
	}
}

/* A case for each prefix of words: the first words of two are one as well. */
static void word_case(FILE *out, const char *words, size_t n, const struct command *c)
{
	char head[64];

	snprintf(head, sizeof(head), "%.*s", (int)n, words);
	fprintf(out, "\t'%s'%s%s%s) next=\"", head, c ? "|'" : "", c ? head : "", c ? " '*" : "");
	following(out, head);
	if (c || n == 0)
		option_words(out, (c ? c->options : 0) | OPTIONS_OF_ALL);
	if (c && strcmp(c->words, "completion") == 0)
		fputs(" bash zsh", out);
	fputs(c && strstr(c->operands, "FILE") ? "\" files=1 ;;\n" : "\" ;;\n", out);
}

/* The longer ones first: "audit" is a command and the beginning of others. */
static void word_cases(FILE *out)
{
	for (size_t i = 0; i < n_commands; i++)
		if (strchr(commands[i].words, ' '))
			word_case(out, commands[i].words, strlen(commands[i].words), &commands[i]);
	for (size_t i = 0; i < n_commands; i++) {
		const char *words = commands[i].words;
		const size_t n = strcspn(words, " ");
		bool before = false;

		for (size_t k = 0; k < i; k++)
			before = before || begins(commands[k].words, words, n);
		if (!before)
			word_case(out, words, n, words[n] == '\0' ? &commands[i] : NULL);
	}
	word_case(out, "", 0, NULL);
}

/* From the arrays `line` (with the command's name) and the number `at` of the word at the cursor
 * to `next` and `files`. */
static void choose(FILE *out)
{
	fputs("\tlocal words= next= files= i prev=${line[$((at - 1))]}\n"
	      "\tfor ((i = first + 1; i < at; i++)); do\n\t\tcase ${line[$i]} in\n\t\t",
		out);
	list_names(out, takes_value);
	fputs(") ((i++)) ;;\n\t\t-*) ;;\n\t\t*) words+=${words:+ }${line[$i]} "
	      ";;\n\t\tesac\n\tdone\n"
	      "\tcase $prev in\n",
		out);
	value_cases(out);
	fputs("\t", out);
	list_names(out, takes_file);
	fputs(") files=1 ;;\n\t", out);
	list_names(out, takes_value);
	fputs(") ;;\n\t*) case $words in\n", out);
	word_cases(out);
	fputs("\tesac ;;\n\tesac\n", out);
}

void completion_bash(FILE *out)
{
	fputs("# bash completion of ireko: source it, or put it into /etc/bash_completion.d\n"
	      "_ireko() {\n\tlocal cur=${COMP_WORDS[COMP_CWORD]} at=$COMP_CWORD first=0\n"
	      "\tlocal -a line=(\"${COMP_WORDS[@]}\")\n",
		out);
	choose(out);
	fputs("\tCOMPREPLY=()\n\tlocal one\n"
	      "\twhile IFS= read -r one; do COMPREPLY+=(\"$one\"); done < <(\n"
	      "\t\tcompgen -W \"$next\" -- \"$cur\"\n"
	      "\t\tif [ -n \"$files\" ]; then compgen -f -- \"$cur\"; fi\n\t)\n}\n"
	      "complete -F _ireko ireko\n",
		out);
}

void completion_zsh(FILE *out)
{
	fputs("#compdef ireko\n# zsh completion of ireko: put it into a folder of $fpath as "
	      "_ireko\n"
	      "_ireko() {\n\tlocal at=$CURRENT first=1\n\tlocal -a line=(\"${(@)words}\")\n",
		out);
	choose(out);
	fputs("\tcompadd -- ${=next}\n\tif [[ -n $files ]]; then _files; fi\n}\n"
	      "compdef _ireko ireko 2>/dev/null || _ireko \"$@\"\n",
		out);
}

enum exit_code run_completion(struct args *a)
{
	if (strcmp(a->operand[0], "bash") == 0)
		completion_bash(stdout);
	else if (strcmp(a->operand[0], "zsh") == 0)
		completion_zsh(stdout);
	else
		return fail_usage("completion: %s is neither bash nor zsh", a->operand[0]);
	return EXIT_FINE;
}
