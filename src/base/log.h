/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* log.h - what happened, one line each, on standard error (which log_file.h can make a file).
 *
 * error: an asked-for thing did not happen.  warn: odd, survived.  info: a rare change of state.
 * debug: per area, off unless asked for. Rooms below machine log nothing above debug.
 * Threads: any; a line is one write. Lines that a guest can cause go through a struct ratelimit.
 */
#ifndef NEAP_BASE_LOG_H
#define NEAP_BASE_LOG_H

#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

void log_set_level(enum log_level level);

/* The name before each line, e.g. the VM's; copied, cut at 63 bytes. */
void log_set_name(const char *name);

/* Each line begins with the time, UTC: 2026-11-22T06:30:00.123Z. For files; set before threads start. */
void log_show_time(bool shall_show);

/* When standard error is the journal's, which has time and name by itself: a line begins with its level, as
 * the journal reads it, then. Before threads start.
 * Sources: systemd.exec(5) "$JOURNAL_STREAM"; sd-daemon(3) "SD_WARNING". */
void log_find_journal(void);

void log_line(enum log_level level, const char *area, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#define log_error(area, ...) log_line(LOG_LEVEL_ERROR, area, __VA_ARGS__)
#define log_warn(area, ...)  log_line(LOG_LEVEL_WARN, area, __VA_ARGS__)
#define log_info(area, ...)  log_line(LOG_LEVEL_INFO, area, __VA_ARGS__)
#define log_debug(area, ...) log_line(LOG_LEVEL_DEBUG, area, __VA_ARGS__)

#endif
