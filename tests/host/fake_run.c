/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* fake_run.c - `neap run` as far as a daemon sees it, without a VM: it takes the same flags, and its
 * name says how it behaves.
 *
 *   up       runs until SIGTERM, and leaves a record of that
 *   quick    runs, and ends at once with a record
 *   fail     cannot start: a sentence, a record, status 3
 *   wordless ends with status 2 before it says anything, a word in its log
 *   mute     neither says anything nor ends
 *   crash    runs, and dies of SIGABRT
 *   look     writes what it was given into its log, and runs
 *   slow     says its sentence in pieces
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "config/exit_record.h"

extern char **environ;

static struct exit_place place = { .dir_fd = -1 };
static int ready_fd = -1;
static const char *name = "", *log_flags = "";
static volatile sig_atomic_t was_told;

static void on_term(int number)
{
	was_told = number;
}

static void leave(int code, const char *reason)
{
	(void)exit_record_write(&place, code, reason, "", NULL);
	exit(code);
}

static void tell(const char *word)
{
	(void)!write(ready_fd, word, strlen(word));
}

static void list_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	char path[300], target[300];
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		ssize_t len;

		(void)snprintf(path, sizeof(path), "/proc/self/fd/%s", entry->d_name);
		len = readlink(path, target, sizeof(target) - 1);
		if (len > 0 && atoi(entry->d_name) != dirfd(dir))
			printf("fd %s %.*s\n", entry->d_name, (int)len, target);
	}
	(void)closedir(dir);
}

static void look(void)
{
	char config[4096];
	size_t len = fread(config, 1, sizeof(config) - 1, stdin);
	sigset_t mask;
	struct sigaction action;

	list_fds();
	config[len] = '\0';
	printf("config %s\nlog flags%s\n", config, log_flags);
	printf("session %d group %d\n", getsid(0) == getpid(), getpgrp() == getpid());
	(void)sigprocmask(SIG_BLOCK, NULL, &mask);
	(void)sigaction(SIGPIPE, NULL, &action);
	printf("blocked %d ignored %d\n", sigismember(&mask, SIGUSR1),
	       action.sa_handler == SIG_IGN);
	printf("cwd %s\n", getcwd(config, sizeof(config)));
	for (char **variable = environ; *variable; variable++)
		if (strstr(*variable, "LISTEN_") || strstr(*variable, "NOTIFY_") ||
		    strstr(*variable, "KEPT"))
			printf("variable %s\n", *variable);
	(void)fflush(stdout);
}

static void read_flags(int argc, char *argv[])
{
	static char text[128];

	for (int i = 2; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--name") == 0)
			name = argv[i + 1];
		else if (strcmp(argv[i], "--ready-fd") == 0)
			ready_fd = atoi(argv[i + 1]);
		else if (strcmp(argv[i], "--exit-record") == 0)
			(void)exit_place_open(argv[i + 1], &place, NULL);
		else if (strncmp(argv[i], "--log-", 6) == 0)
			(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), " %s %s",
				       argv[i], argv[i + 1]);
	}
	log_flags = text;
}

static void run_until_told(void)
{
	tell("+");
	(void)close(ready_fd);
	while (!was_told)
		pause();
	leave(7, "ended by signal 15 (Terminated)");
}

int main(int argc, char *argv[])
{
	read_flags(argc, argv);
	(void)signal(SIGTERM, on_term);
	if (strcmp(name, "look") == 0)
		look();
	if (strcmp(name, "up") == 0 || strcmp(name, "look") == 0)
		run_until_told();
	if (strcmp(name, "mute") == 0)
		while (!was_told)
			pause();
	if (strcmp(name, "wordless") == 0)
		return fprintf(stderr, "a word before the end\n") > 0 ? 2 : 1;
	if (strcmp(name, "fail") == 0) {
		tell("this host has no room");
		leave(3, "this host has no room");
	}
	if (strcmp(name, "slow") == 0) {
		tell("in ");
		(void)usleep(20000);
		tell("pieces");
		leave(3, "in pieces");
	}
	tell("+");
	if (strcmp(name, "crash") == 0) {
		(void)setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
		abort();
	}
	leave(0, "the guest powered off");
}
