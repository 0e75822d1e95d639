/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* exit_record.c - see exit_record.h. */
#include "config/exit_record.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/file.h"
#include "config/json_strict.h"

enum { RECORD_BYTES = 16384, RECORD_NESTING = 8 };

int exit_place_open(const char *path, struct exit_place *ret_place, struct err *err)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	char dir[PATH_MAX] = ".";
	int fd;

	if (slash && (size_t)(slash - path) + 1 >= sizeof(dir))
		return err_set(err, -ENAMETOOLONG, "the exit record: the path is too long");
	if (slash)
		(void)snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path) + 1, path);
	if (*name == '\0' || strlen(name) >= sizeof(ret_place->name))
		return err_set(err, -EINVAL, "the exit record %s: not the path of a file", path);
	fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_set(err, -errno, "the directory of the exit record %s: %m", path);
	(void)unlinkat(fd, name, 0);
	ret_place->dir_fd = fd;
	(void)snprintf(ret_place->name, sizeof(ret_place->name), "%s", name);
	return 0;
}

void exit_place_close(struct exit_place *place)
{
	close_fd(&place->dir_fd);
}

/* Text that is not UTF-8 is shown as far as it is ASCII. */
static json_t *text_of(const char *untrusted_text)
{
	char shown[EXIT_REASON_BYTES];
	json_t *text;

	(void)snprintf(shown, sizeof(shown), "%s", untrusted_text);
	text = json_string(shown);
	for (char *c = shown; !text && *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	return text ? text : json_string(shown);
}

int exit_record_write(const struct exit_place *place, int exit_code, const char *reason,
		      const char *uuid, struct err *err)
{
	CLEANUP(free_text)
	char *text = NULL;
	struct timespec now = { 0 };
	char ended[CLOCK_UTC_BYTES];
	json_t *record;

	if (place->dir_fd < 0)
		return 0;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	(void)clock_utc_text(&now, false, ended);
	record = json_pack("{s:i, s:o, s:s, s:i, s:s}", "exit_code", exit_code, "reason",
			   text_of(reason), "uuid", uuid, "pid", (int)getpid(), "ended", ended);
	text = record ? json_dumps(record, JSON_INDENT(2)) : NULL;
	json_decref(record);
	if (!text)
		return err_set(err, -ENOMEM, "the exit record: out of memory");
	return file_replace(place->dir_fd, place->name, text, strlen(text), false, err);
}

static int take_members(const json_t *json, struct exit_record *ret_record, struct err *err)
{
	const json_t *code = json_object_get(json, "exit_code");
	const json_t *pid = json_object_get(json, "pid");
	const char *reason = json_string_value(json_object_get(json, "reason"));
	json_int_t number = json_integer_value(code);

	if (!json_is_integer(code) || number < 0 || number > UINT8_MAX)
		return err_set(err, -EINVAL, "exit_code is not one");
	number = json_integer_value(pid);
	*ret_record = (struct exit_record){
		.exit_code = (int)json_integer_value(code),
		.pid = number > 0 && number <= INT_MAX ? (pid_t)number : 0,
	};
	(void)snprintf(ret_record->reason, sizeof(ret_record->reason), "%s", reason ? reason : "");
	return 0;
}

int exit_record_read(const char *path, struct exit_record *ret_record, struct err *err)
{
	CLEANUP(free_text)
	char *text = NULL;
	json_t *json = NULL;
	size_t len = 0;
	int ret = file_read_trusted(AT_FDCWD, path, 0, RECORD_BYTES, &text, &len, err);

	if (ret == 0)
		ret = json_strict_parse(text, len, RECORD_NESTING, &json, err);
	if (ret == 0)
		ret = take_members(json, ret_record, err);
	json_decref(json);
	return ret < 0 && err ? err_wrap(err, "%s", path) : ret;
}
