/*
 * One line an event on stderr: "subsystem: object id: what, why". Control characters in what is
 * printed are escaped, so nothing from outside can start a line. Safe from any thread.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

#include "base/compiler.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_TEXT, LOG_JSON };

/* Call once before threads start. Default: info, text. */
void log_init(enum log_level level, enum log_format format);
bool log_enabled(enum log_level level);
void log_write(enum log_level level, const char *subsystem, const char *fmt, ...) printf_like(3, 4);

#define log_error(subsystem, ...) log_write(LOG_ERROR, subsystem, __VA_ARGS__)
#define log_warn(subsystem, ...)  log_write(LOG_WARN, subsystem, __VA_ARGS__)
#define log_info(subsystem, ...)  log_write(LOG_INFO, subsystem, __VA_ARGS__)
#define log_debug(subsystem, ...)                                                                  \
	do {                                                                                       \
		if (log_enabled(LOG_DEBUG))                                                        \
			log_write(LOG_DEBUG, subsystem, __VA_ARGS__);                              \
	} while (0)

#endif
