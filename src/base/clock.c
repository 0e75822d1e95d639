/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* clock.c - the wall clock as text.
 *
 * By hand, since gmtime_r(3) reads the zone file when it is first called, and strftime(3) looks each
 * time whether that has changed: UTC has no zone.
 * Limit: from 1970 to the year 9999; what is before or after is shown as the first or the last second.
 * Source: RFC 3339, section 5.6 "Internet Date/Time Format".
 */
#include "base/clock.h"

#include <stdbool.h>
#include <stdio.h>

enum {
	SECONDS_PER_DAY = 86400,
	FIRST_YEAR = 1970,
	LAST_DAY = 2932896, /* 31 December 9999, from 1 January 1970 */
};

static bool is_leap(unsigned year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static unsigned days_of_year(unsigned year)
{
	return is_leap(year) ? 366 : 365;
}

/* January is 0. */
static unsigned days_of_month(unsigned year, unsigned month)
{
	static const unsigned char days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return month == 1 && is_leap(year) ? 29 : days[month];
}

unsigned clock_utc_text(const struct timespec *at, bool with_ms, char ret_text[CLOCK_UTC_BYTES])
{
	const int64_t last = (INT64_C(1) + LAST_DAY) * SECONDS_PER_DAY - 1;
	int64_t seconds = at->tv_sec < 0 ? 0 : at->tv_sec > last ? last : at->tv_sec;
	unsigned of_day = (unsigned)(seconds % SECONDS_PER_DAY);
	unsigned day = (unsigned)(seconds / SECONDS_PER_DAY);
	unsigned year = FIRST_YEAR, month = 0;
	int len;

	for (; day >= days_of_year(year); year++)
		day -= days_of_year(year);
	for (; day >= days_of_month(year, month); month++)
		day -= days_of_month(year, month);
	len = snprintf(ret_text, CLOCK_UTC_BYTES, "%04u-%02u-%02uT%02u:%02u:%02u", year, month + 1,
		       day + 1, of_day / 3600, of_day / 60 % 60, of_day % 60);

	if (with_ms)
		len += snprintf(ret_text + len, CLOCK_UTC_BYTES - (size_t)len, ".%03u",
				(unsigned)((uint64_t)at->tv_nsec / NS_PER_MS) % 1000);
	len += snprintf(ret_text + len, CLOCK_UTC_BYTES - (size_t)len, "Z");
	return (unsigned)len;
}
