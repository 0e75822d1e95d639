/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* host_config.h - what a host's daemon is told: neapd.json and the flags of neapd.
 *
 * Every field is a row of host_options.def, which makes the JSON key, the flag, the help, the man page
 * and the default, through the same table code as a VM's options (options.h).
 */
#ifndef NEAP_CONFIG_HOST_CONFIG_H
#define NEAP_CONFIG_HOST_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct host_config {
	char *state_dir;   /* --state DIR */
	char *runtime_dir; /* --runtime DIR */
	char *neap_path;   /* --neap FILE; a bare name is looked for on PATH */

	struct {
		char *path;	 /* takes every verb */
		char *read_path; /* for looking only; default RUNTIME/neapd-ro.sock; "" none */
		unsigned mode, read_mode;
		char *group;	      /* of both sockets; NULL: ours */
		uint64_t connections; /* at most */
		uint64_t events;      /* kept for those who connect again */
	} socket;

	struct {
		bool grants; /* divide pools among VMs */
	} broker;

	struct {
		bool enabled; /* metrics and page on a UNIX socket */
		char *path;
		unsigned port; /* also on 127.0.0.1; 0: not */
	} metrics;

	struct {
		uint64_t bytes; /* of a VM's log before a new one begins */
		unsigned keep;	/* older ones */
	} log;

	struct {
		uint64_t ready_s; /* a VM may take to start; 0: for ever */
		uint64_t restart_least_ms, restart_most_ms; /* back-off */
		uint64_t silent_s; /* a VM that does not answer for so long is silent */
	} vm;

	uint64_t given_by_flag; /* bit per row of host_options.def */
};

/* The defaults of fixed value; paths are NULL until host_config_complete(). */
void host_config_init(struct host_config *config);
void host_config_fini(struct host_config *config);

/* neapd.json, read as vm_config_load() reads vm.json: strictly, from a file that nobody else can have
 * written, and flags win. Errors are "FILE:LINE: ...". */
int host_config_load(struct host_config *config, const char *path, struct err *err);

/* Fills in what nobody said: paths that depend on the user, on the environment, and on each other.
 * -ENOENT: the environment does not say; @err says what to do. */
int host_config_complete(struct host_config *config, struct err *err);

/* As vm_config_parse_flags(), and then host_config_complete(). --help and --version are the program's. */
int host_config_parse_flags(struct host_config *config, int argc, char *const argv[], int *ret_used,
			    struct err *err);

/* Values against each other; one sentence. */
int host_config_check(const struct host_config *config, struct err *err);

/* What neapd --help says of its flags; NULL: no memory. Caller frees. */
char *host_config_help(void);

/* The whole as JSON text that host_config_load() reads back to the same; NULL: no memory. Caller frees. */
char *host_config_to_json(const struct host_config *config);

#endif
