/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* err.h - one failure, in words a person can act on.
 *
 * For: functions whose failure somebody will read. They return 0 or a negative errno and take
 * `struct err *` last. Hot paths return only the number.
 * Not for: control flow between threads, or anything a guest does in a loop.
 * Threads: a struct err belongs to its caller; nothing is shared.
 * Memory: a fixed buffer on the caller's stack, so that reporting a failure never allocates.
 */
#ifndef NEAP_BASE_ERR_H
#define NEAP_BASE_ERR_H

enum { ERR_TEXT_BYTES = 512 };

struct err {
	int code;		   /* negative errno, or 0 when nothing was reported */
	char text[ERR_TEXT_BYTES]; /* one sentence without a final newline */
};

/**
 * err_set() - record a failure: what was being done, to what, why, and what to do
 * @err:  may be NULL: then only the code is passed on
 * @code: negative errno
 * @fmt:  printf format; %m is the errno at the time of the call
 *
 * Return: @code, so that a caller can write `return err_set(...)`.
 */
int err_set(struct err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/**
 * err_wrap() - put context before what is already there: "context: text"
 *
 * Return: the code recorded before.
 */
int err_wrap(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
