/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* log.c - see log.h. */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log_file.h"

enum { LOG_LINE_BYTES = 1024, LOG_NAME_BYTES = 64 };

static atomic_int shown_level = LOG_LEVEL_WARN;
static char shown_name[LOG_NAME_BYTES] = "neap"; /* set once, before threads start */
static bool shows_time;				 /* likewise */

static bool is_journal; /* likewise */

static const char *const level_names[] = {
	[LOG_LEVEL_ERROR] = "error",
	[LOG_LEVEL_WARN] = "warning",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_DEBUG] = "debug",
};

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&shown_level, (int)level, memory_order_relaxed);
}

void log_set_name(const char *name)
{
	(void)snprintf(shown_name, sizeof(shown_name), "%s", name);
}

void log_show_time(bool shall_show)
{
	shows_time = shall_show;
}

void log_find_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;
	char rest;

	is_journal = stream && sscanf(stream, "%llu:%llu%c", &device, &inode, &rest) == 2 &&
		     fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

/* What stands before the text. Returns the bytes put there. */
static int put_head(char *to, size_t capacity, enum log_level level, const char *area)
{
	/* Source: syslog(3), the levels LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG. */
	static const char *const journal_levels[] = {
		[LOG_LEVEL_ERROR] = "<3>",
		[LOG_LEVEL_WARN] = "<4>",
		[LOG_LEVEL_INFO] = "<6>",
		[LOG_LEVEL_DEBUG] = "<7>",
	};

	if (is_journal)
		return snprintf(to, capacity, "%s%s: ", journal_levels[level], area);
	return snprintf(to, capacity, "%s: %s: %s: ", shown_name, level_names[level], area);
}

/* The wall clock's, since it is for people. Returns the bytes put there. */
static int put_time(char *to, size_t capacity)
{
	char text[CLOCK_UTC_BYTES];
	struct timespec now;

	if (!shows_time || clock_gettime(CLOCK_REALTIME, &now) < 0)
		return 0;
	(void)clock_utc_text(&now, true, text);
	return snprintf(to, capacity, "%s ", text);
}

void log_line(enum log_level level, const char *area, const char *fmt, ...)
{
	char line[LOG_LINE_BYTES];
	va_list args;
	int used;

	if ((int)level > atomic_load_explicit(&shown_level, memory_order_relaxed))
		return;
	used = put_time(line, sizeof(line));
	used += put_head(line + used, sizeof(line) - (size_t)used, level, area);
	va_start(args, fmt);
	used += vsnprintf(line + used, sizeof(line) - (size_t)used, fmt, args);
	va_end(args);
	if (used > (int)sizeof(line) - 2)
		used = (int)sizeof(line) - 2;
	line[used++] = '\n';
	(void)!write(STDERR_FILENO, line, (size_t)used);
	log_file_check();
}
