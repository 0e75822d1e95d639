/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* logs.c - vm.logs: the last lines of a VM's log.
 *
 * A guest decides what stands there, so the answer is bounded twice: in lines, and in bytes of the file
 * (LOG_READ_BYTES of it and of the one before), which keeps it well inside one message. What is no UTF-8
 * becomes U+FFFD.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/strbuf.h"
#include "base/units.h"
#include "config/json_text.h"
#include "host/handlers.h"

enum { LINES_DEFAULT = 100, LINES_MAX = 10000, LOG_READ_BYTES = 1 << 17 };

/* The end of the file, at most @most bytes; NULL: there is none. Caller frees. */
static char *read_end(const char *path, size_t most, size_t *ret_len)
{
	CLEANUP(close_fd)
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;
	size_t len;
	char *text;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return NULL;
	len = (uint64_t)st.st_size < most ? (size_t)st.st_size : most;
	text = malloc(len + 1);
	if (text && fd_read_full(fd, text, len, st.st_size - (off_t)len) < 0) {
		free(text);
		return NULL;
	}
	if (text)
		text[len] = '\0';
	*ret_len = len;
	return text;
}

/* Behind @text is a newline, or NUL. */
static json_t *line_of(const char *text, size_t len)
{
	json_t *line;
	struct strbuf sb;
	size_t step;

	while (len > 0 && text[len - 1] == '\r')
		len--;
	line = json_stringn(text, len);
	if (line && memchr(text, '\0', len) == NULL)
		return line;
	json_decref(line);
	strbuf_init(&sb, 3 * LOG_READ_BYTES);
	for (size_t i = 0; i < len; i += step ? step : 1) {
		step = text[i] ? json_text_character(text + i) : 0;
		strbuf_append(&sb, step ? text + i : "\xef\xbf\xbd", step ? step : 3);
	}
	line = sb.text ? json_stringn(sb.text, sb.len) : json_string("");
	strbuf_fini(&sb);
	return line;
}

/* Appends lines from the end of @text; true when there is room for more. */
static bool take_lines(json_t *newest_first, const char *text, size_t len, size_t most,
		       bool is_whole)
{
	while (len > 0 && json_array_size(newest_first) < most) {
		size_t end = text[len - 1] == '\n' ? len - 1 : len;
		const char *before = memrchr(text, '\n', end);
		size_t start = before ? (size_t)(before - text) + 1 : 0;

		if (start == 0 && !is_whole) /* its beginning was not read */
			return true;
		(void)json_array_append_new(newest_first, line_of(text + start, end - start));
		len = start;
	}
	return json_array_size(newest_first) < most;
}

static bool take_file(json_t *newest_first, const char *path, size_t most)
{
	size_t len = 0;
	CLEANUP(free_text)
	char *text = read_end(path, LOG_READ_BYTES, &len);

	return !text || take_lines(newest_first, text, len, most, len < LOG_READ_BYTES);
}

int handle_logs(void *ctx, struct api_request *request, json_t **ret_result, struct err *err)
{
	const char *name = json_string_value(json_object_get(request->params, "vm"));
	const json_t *lines = json_object_get(request->params, "lines");
	json_int_t most = lines ? json_integer_value(lines) : LINES_DEFAULT;
	const struct hosted *vm = host_find(ctx, name);
	char path[STORE_PATH_BYTES], before[STORE_PATH_BYTES + 4];
	json_t *newest_first, *oldest_first;

	if (!vm)
		return host_no_vm(name, err);
	if (most > LINES_MAX)
		return err_set(err, -ERANGE, "lines: at most %d", LINES_MAX),
		       API_ERROR_INVALID_PARAMS;
	handlers_log_path(vm, path);
	(void)snprintf(before, sizeof(before), "%s.1", path);
	newest_first = json_array();
	oldest_first = json_array();
	if (most > 0 && take_file(newest_first, path, (size_t)most))
		(void)take_file(newest_first, before, (size_t)most);
	for (size_t i = json_array_size(newest_first); i-- > 0;)
		(void)json_array_append(oldest_first, json_array_get(newest_first, i));
	json_decref(newest_first);
	*ret_result = json_pack("{s:s, s:o}", "path", path, "lines", oldest_first);
	return *ret_result ? 0 : (err_set(err, -ENOMEM, "out of memory"), API_ERROR_INTERNAL);
}
