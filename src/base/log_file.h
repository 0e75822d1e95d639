/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* log_file.h - standard output and error of this process in a file that never grows beyond a size.
 *
 * FILE is written until it reaches the size; then it becomes FILE.1, FILE.1 becomes FILE.2, and so on,
 * and a new FILE takes the place of descriptors 1 and 2 in one step: what libraries print lands there,
 * too, and no line is lost or cut. So a guest that makes its VM speak fills (keep + 1) sizes and no more.
 * When no new file can be made, the old one is emptied. A disk that is full costs lines and nothing else.
 * Threads: log_file_start() before others start; log_file_check() any.
 */
#ifndef NEAP_BASE_LOG_FILE_H
#define NEAP_BASE_LOG_FILE_H

#include <stdint.h>

#include "base/err.h"
#include "base/units.h"

#define LOG_FILE_LEAST_BYTES   (4 * KIB_BYTES)
#define LOG_FILE_MOST_BYTES    GIB_BYTES
#define LOG_FILE_DEFAULT_BYTES (4 * MIB_BYTES)
enum { LOG_FILE_KEEP_MOST = 99, LOG_FILE_DEFAULT_KEEP = 2 };

struct log_file_config {
	const char *path;
	uint64_t bytes_max; /* a file this large is followed by a new one */
	unsigned keep;	    /* older ones: FILE.1 ... FILE.keep */
};

/**
 * log_file_start() - from now on descriptors 1 and 2 are the file; once per process
 *
 * What an earlier process wrote stays above. Lines of log.h begin with the time (UTC) from now on,
 * and rare changes of state are told, too. Refused: something else than a regular file or /dev/null,
 * or a file of somebody else.
 *
 * Return: 0; a negative errno, @err names the file.
 */
int log_file_start(const struct log_file_config *config, struct err *err);

/* A new file, if this one has its size. log_line() calls it after each line. */
void log_file_check(void);

#endif
