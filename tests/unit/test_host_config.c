/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_host_config.c - neapd.json and the flags of neapd: defaults that depend on the environment, every
 * kind of mistake with its line, and that what is written is read back to the same (CF01-CF03 for
 * this table; the code is test_config.c's).
 */
#include "../support/scratch.h"

#include "base/fd.h"
#include "base/log_file.h"
#include "config/host_config.h"
#include "config/options.h"
#include "rpc/rpc.h"

enum { ARGS = 16 };

static int load_text(struct host_config *config, const char *text, struct err *err)
{
	return options_load_text(&host_options, config, "neapd.json", "/base", text, strlen(text),
				 err);
}

static void assert_refused(const char *text, const char *sentence)
{
	CLEANUP(host_config_fini)
	struct host_config config;
	struct err err = { 0 };
	int ret;

	host_config_init(&config);
	ret = load_text(&config, text, &err);
	if (ret == 0)
		ret = host_config_complete(&config, &err);
	if (ret == 0)
		ret = host_config_check(&config, &err);
	assert_true(ret < 0);
	assert_string_equal(err.text, sentence);
}

static int parse(struct host_config *config, const char *line, struct err *err)
{
	CLEANUP(free_text)
	char *copy = strdup(line);
	char *argv[ARGS + 1] = { NULL };
	char *rest = copy, *word;
	int argc = 0, used;

	while (argc < ARGS && (word = strsep(&rest, " ")))
		if (*word)
			argv[argc++] = word;
	return host_config_parse_flags(config, argc, argv, &used, err);
}

static void parse_ok(struct host_config *config, const char *line)
{
	struct err err = { 0 };

	host_config_init(config);
	if (parse(config, line, &err) < 0)
		fail_msg("%s: %s", line, err.text);
}

static void assert_flags_refused(const char *line, const char *sentence)
{
	CLEANUP(host_config_fini)
	struct host_config config;
	struct err err = { 0 };

	host_config_init(&config);
	assert_true(parse(&config, line, &err) < 0);
	assert_string_equal(err.text, sentence);
}

static int set_environment(void **state)
{
	return scratch_make(state) || setenv("XDG_STATE_HOME", "/s", 1) ||
	       setenv("XDG_RUNTIME_DIR", "/r", 1) || setenv("HOME", "/h", 1);
}

static void the_defaults_are_a_daemon(void **state)
{
	CLEANUP(host_config_fini)
	struct host_config config;
	struct err err = { 0 };

	(void)state;
	parse_ok(&config, "");
	assert_int_equal(host_config_check(&config, &err), 0);
	assert_string_equal(config.state_dir, "/s/neap");
	assert_string_equal(config.runtime_dir, "/r/neapd");
	assert_string_equal(config.socket.path, "/r/neapd/neapd.sock");
	assert_string_equal(config.socket.read_path, "/r/neapd/neapd-ro.sock");
	assert_string_equal(config.metrics.path, "/r/neapd/metrics.sock");
	assert_int_equal(config.socket.mode, 0600);
	assert_int_equal(config.socket.read_mode, 0600);
	assert_null(config.socket.group);
	assert_true(config.broker.grants && config.metrics.enabled);
	assert_int_equal(config.metrics.port, 0);
	assert_int_equal(config.log.bytes, LOG_FILE_DEFAULT_BYTES);
	assert_int_equal(config.log.keep, LOG_FILE_DEFAULT_KEEP);
	assert_int_equal(config.vm.ready_s, 60);
	assert_true(config.neap_path && *config.neap_path);
}

static void directories_come_from_the_user_and_the_environment(void **state)
{
	CLEANUP(host_config_fini)
	struct host_config config;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(setenv("XDG_STATE_HOME", "relative", 1) | unsetenv("XDG_RUNTIME_DIR"), 0);
	if (geteuid() == 0) {
		parse_ok(&config, "");
		assert_string_equal(config.state_dir, "/var/lib/neap");
		assert_string_equal(config.runtime_dir, "/run/neapd");
		return;
	}
	host_config_init(&config);
	assert_int_equal(host_config_complete(&config, &err), -ENOENT);
	assert_string_equal(config.state_dir, "/h/.local/state/neap");
	assert_non_null(strstr(err.text, "XDG_RUNTIME_DIR is not set"));
}

static void the_sockets_are_where_clients_look_for_them(void **state)
{
	CLEANUP(host_config_fini)
	struct host_config config;
	char dir[RPC_PATH_BYTES], path[2 * RPC_PATH_BYTES];
	struct err err = { 0 };

	(void)state;
	assert_int_equal(setenv("XDG_RUNTIME_DIR", scratch_dir, 1), 0);
	parse_ok(&config, "");
	assert_int_equal(rpc_host_dir(dir, sizeof(dir), &err), 0);
	assert_string_equal(config.runtime_dir, dir);
	(void)snprintf(path, sizeof(path), "%s/%s", dir, RPC_HOST_SOCKET);
	assert_string_equal(config.socket.path, path);
	(void)snprintf(path, sizeof(path), "%s/%s", dir, RPC_HOST_READ_SOCKET);
	assert_string_equal(config.socket.read_path, path);
}

static void sockets_follow_the_directory_that_was_named(void **state)
{
	CLEANUP(host_config_fini)
	struct host_config config;

	(void)state;
	parse_ok(&config, "--runtime /elsewhere --socket /x/a.sock");
	assert_string_equal(config.socket.path, "/x/a.sock");
	assert_string_equal(config.socket.read_path, "/elsewhere/neapd-ro.sock");
	assert_string_equal(config.metrics.path, "/elsewhere/metrics.sock");
}

static void an_empty_path_of_the_second_socket_is_none(void **state)
{
	CLEANUP(host_config_fini)
	struct host_config config;
	CLEANUP(host_config_fini)
	struct host_config other;
	CLEANUP(free_text)
	char *text = NULL;
	struct err err = { 0 };

	(void)state;
	parse_ok(&config, "--read-socket=");
	assert_string_equal(config.socket.read_path, "");
	assert_int_equal(host_config_check(&config, &err), 0);
	text = host_config_to_json(&config);
	host_config_init(&other);
	assert_int_equal(load_text(&other, text, &err), 0);
	assert_string_equal(other.socket.read_path, "");
	assert_flags_refused("--socket=", "--socket: is empty");
}

static void every_key_is_read(void **state)
{
	static const char text[] =
		"{ \"state\": \"/a\", \"runtime\": \"b\", \"neap\": \"/usr/bin/neap\",\n"
		"  \"socket\": { \"path\": \"/c\", \"mode\": \"0660\", \"read_path\": \"/d\",\n"
		"    \"read_mode\": \"666\", \"group\": \"neap\", \"connections\": 10, \"events\": "
		"0 },\n"
		"  \"broker\": { \"grants\": false },\n"
		"  \"metrics\": { \"enabled\": false, \"path\": \"/e\", \"port\": 9100 },\n"
		"  \"log\": { \"size\": \"64K\", \"keep\": 0 },\n"
		"  \"vm\": { \"ready\": 0, \"restart_least\": 1, \"restart_most\": 2, \"silent\": "
		"9 } }";
	CLEANUP(host_config_fini)
	struct host_config config;
	struct err err = { 0 };

	(void)state;
	host_config_init(&config);
	if (load_text(&config, text, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(host_config_complete(&config, &err), 0);
	assert_int_equal(host_config_check(&config, &err), 0);
	assert_string_equal(config.state_dir, "/a");
	assert_string_equal(config.runtime_dir, "/base/b");
	assert_string_equal(config.neap_path, "/usr/bin/neap");
	assert_string_equal(config.socket.path, "/c");
	assert_string_equal(config.socket.read_path, "/d");
	assert_int_equal(config.socket.mode, 0660);
	assert_int_equal(config.socket.read_mode, 0666);
	assert_string_equal(config.socket.group, "neap");
	assert_int_equal(config.socket.connections, 10);
	assert_int_equal(config.socket.events, 0);
	assert_false(config.broker.grants || config.metrics.enabled);
	assert_string_equal(config.metrics.path, "/e");
	assert_int_equal(config.metrics.port, 9100);
	assert_int_equal(config.log.bytes, 65536);
	assert_int_equal(config.log.keep, 0);
	assert_int_equal(config.vm.ready_s, 0);
	assert_int_equal(config.vm.restart_least_ms, 1);
	assert_int_equal(config.vm.restart_most_ms, 2);
	assert_int_equal(config.vm.silent_s, 9);
}

static void a_mistake_is_named_with_its_line(void **state)
{
	(void)state;
	assert_refused("", "neapd.json:1: not JSON: empty");
	assert_refused("[]", "neapd.json:1: must be a JSON object: {...}");
	assert_refused("{\n\"sokcet\": {} }",
		       "neapd.json:2: unknown key \"sokcet\"; did you mean socket?");
	assert_refused(
		"{\n\n\"mode\": \"0600\" }",
		"neapd.json:3: unknown key \"mode\"; it belongs in \"socket\": {\"mode\": ...}");
	assert_refused("{ \"socket\": {\n \"mod\": \"0600\" } }",
		       "neapd.json:2: unknown key \"mod\"; did you mean mode?");
	assert_refused("{ \"socket\": { \"mode\": 384 } }",
		       "neapd.json:1: socket.mode: must be a string of octal digits like \"0660\"");
	assert_refused(
		"{ \"socket\": { \"mode\": \"1777\" } }",
		"neapd.json:1: socket.mode: \"1777\" are not permissions; write them in octal, "
		"like 0660");
	assert_refused("{ \"metrics\": { \"port\": 65536 } }",
		       "neapd.json:1: metrics.port: must be from 0 to 65535");
	assert_refused("{ \"log\": { \"size\": \"1K\" } }",
		       "neapd.json:1: log.size: must be from 4K to 1G");
	assert_refused("{ \"broker\": true }", "neapd.json:1: broker: must be an object");
	assert_refused("{ \"cpus\": 2 }", "neapd.json:1: unknown key \"cpus\"");
}

static void values_are_checked_against_each_other(void **state)
{
	char text[512];

	(void)state;
	assert_refused("{ \"vm\": { \"restart_least\": 5000, \"restart_most\": 1000 } }",
		       "vm.restart_least: 5000 ms is more than vm.restart_most, 1000 ms");
	assert_refused("{ \"socket\": { \"path\": \"/x\", \"read_path\": \"/x\" } }",
		       "socket.read_path is \"/x\", as socket.path is");
	(void)snprintf(text, sizeof(text), "{ \"runtime\": \"/%0100d\" }", 0);
	assert_true(strlen(text) > 100);
	{
		CLEANUP(host_config_fini)
		struct host_config config;
		struct err err = { 0 };

		host_config_init(&config);
		assert_int_equal(load_text(&config, text, &err), 0);
		assert_int_equal(host_config_complete(&config, &err), 0);
		assert_int_equal(host_config_check(&config, &err), -ENAMETOOLONG);
		assert_non_null(strstr(err.text, "a socket's path has at most 107 bytes"));
	}
}

static void flags_win_over_the_file_whatever_the_order(void **state)
{
	(void)state;
	scratch_write("neapd.json", "{ \"log\": { \"keep\": 1, \"size\": \"8K\" } }");
	for (size_t i = 0; i < 2; i++) {
		CLEANUP(host_config_fini)
		struct host_config config;
		char line[512];

		(void)snprintf(line, sizeof(line), "--config %s", scratch_path("neapd.json"));
		parse_ok(&config, line);
		assert_int_equal(config.log.keep, 1);
		host_config_fini(&config);
		(void)snprintf(line, sizeof(line), "%s --config %s %s",
			       i ? "" : "--log-keep 7 --no-grants", scratch_path("neapd.json"),
			       i ? "--log-keep 7 --grants off" : "");
		parse_ok(&config, line);
		assert_int_equal(config.log.keep, 7);
		assert_int_equal(config.log.bytes, 8192);
		assert_false(config.broker.grants);
	}
}

static void a_wrong_flag_is_answered_with_the_nearest_right_one(void **state)
{
	(void)state;
	assert_flags_refused("--sokcet /x", "unknown flag \"--sokcet\"; did you mean --socket?");
	assert_flags_refused("--memory 2G", "unknown flag \"--memory\"");
	assert_flags_refused("--log-keep", "--log-keep: needs a value: N");
	assert_flags_refused("--log-keep 100", "--log-keep: must be from 0 to 99");
	assert_flags_refused("--config /nonexistent",
			     "/nonexistent: cannot open it: No such file or directory");
}

static void a_file_that_others_may_write_is_refused_CF03(void **state)
{
	CLEANUP(host_config_fini)
	struct host_config config;
	struct err err = { 0 };

	(void)state;
	scratch_write("neapd.json", "{}");
	assert_int_equal(chmod(scratch_path("neapd.json"), 0666), 0);
	host_config_init(&config);
	assert_int_equal(host_config_load(&config, scratch_path("neapd.json"), &err), -EPERM);
	assert_non_null(strstr(err.text, "others may write it (mode 0666)"));
}

static void what_is_written_is_read_back_to_the_same(void **state)
{
	CLEANUP(host_config_fini)
	struct host_config config;
	CLEANUP(host_config_fini)
	struct host_config again;
	CLEANUP(free_text)
	char *text = NULL;
	CLEANUP(free_text)
	char *same = NULL;
	struct err err = { 0 };

	(void)state;
	parse_ok(&config, "--socket-mode 0640 --socket-group kvm --metrics on,port=1234 --silent 3 "
			  "--log-size 1M --neap /usr/bin/neap");
	assert_int_equal(config.metrics.port, 1234);
	text = host_config_to_json(&config);
	host_config_init(&again);
	if (load_text(&again, text, &err) < 0)
		fail_msg("%s", err.text);
	same = host_config_to_json(&again);
	assert_string_equal(text, same);
}

static void every_row_has_a_default_a_flag_and_its_help(void **state)
{
	CLEANUP(free_text)
	char *help = host_config_help();

	(void)state;
	for (size_t i = 0; i < host_options.row_count; i++) {
		const struct option_row *row = &host_options.rows[i];
		char flag[64];

		assert_true(row->default_text || row->default_words);
		assert_non_null(row->flag);
		(void)snprintf(flag, sizeof(flag), "\n  --%s %s", row->flag, row->metavar);
		assert_non_null(strstr(help, flag));
		assert_ptr_equal(options_by_key(&host_options, row->key, strlen(row->key)), row);
		assert_ptr_equal(options_by_flag(&host_options, row->flag, strlen(row->flag)), row);
	}
	for (const char *line = help; *line; line = strchr(line, '\n') + 1)
		assert_true(strcspn(line, "\n") <= 80);
}

static void the_file_of_the_units_is_right(void **state)
{
	CLEANUP(host_config_fini)
	struct host_config config;
	struct err err = { 0 };

	(void)state;
	host_config_init(&config);
	if (host_config_load(&config, NEAP_CONFIGS "/systemd/neapd.json", &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(host_config_complete(&config, &err), 0);
	assert_int_equal(host_config_check(&config, &err), 0);
}

#define HOST_TEST(name) cmocka_unit_test_setup_teardown(name, set_environment, scratch_remove)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		HOST_TEST(the_defaults_are_a_daemon),
		HOST_TEST(directories_come_from_the_user_and_the_environment),
		HOST_TEST(the_sockets_are_where_clients_look_for_them),
		HOST_TEST(sockets_follow_the_directory_that_was_named),
		HOST_TEST(an_empty_path_of_the_second_socket_is_none),
		HOST_TEST(every_key_is_read),
		HOST_TEST(a_mistake_is_named_with_its_line),
		HOST_TEST(values_are_checked_against_each_other),
		HOST_TEST(flags_win_over_the_file_whatever_the_order),
		HOST_TEST(a_wrong_flag_is_answered_with_the_nearest_right_one),
		HOST_TEST(a_file_that_others_may_write_is_refused_CF03),
		HOST_TEST(what_is_written_is_read_back_to_the_same),
		HOST_TEST(every_row_has_a_default_a_flag_and_its_help),
		HOST_TEST(the_file_of_the_units_is_right),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
