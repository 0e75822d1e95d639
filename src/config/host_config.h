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
	char *state_dir; /* --state DIR; default /var/lib/neap for root, $XDG_STATE_HOME/neap, ~/.local/state/neap */
	char *runtime_dir; /* --runtime DIR; default /run/neapd for root, $XDG_RUNTIME_DIR/neapd */
	char *neap_path;   /* --neap FILE; default: `neap` beside neapd, else on PATH */

	struct {
		char *path;	 /* socket.path; default RUNTIME/neapd.sock */
		char *read_path; /* for looking only; default RUNTIME/neapd-ro.sock; "" none */
		unsigned mode, read_mode; /* octal text: 0600, 0600 */
		char *group;		  /* of both sockets; NULL: ours */
		uint64_t connections;	  /* at most; 16384 */
		uint64_t events;	  /* kept for those who connect again; 16384 */
	} socket;

	struct {
		bool grants; /* broker.grants: divide pools among VMs (on) */
	} broker;

	struct {
		bool enabled;  /* metrics.enabled: metrics and page on a UNIX socket (on) */
		char *path;    /* default RUNTIME/metrics.sock */
		unsigned port; /* metrics.port: also on 127.0.0.1; 0: not */
	} metrics;

	struct {
		uint64_t bytes; /* log.size: of a VM's log before a new one begins; 4M */
		unsigned keep;	/* log.keep: older ones; 2 */
	} log;

	struct {
		uint64_t ready_s; /* vm.ready: seconds a VM may take to start; 60 */
		uint64_t restart_least_ms, restart_most_ms; /* back-off: 500, 60000 */
		uint64_t silent_s; /* a VM that does not answer for so long is silent; 5 */
	} vm;

	uint64_t given_by_flag;
};

void host_config_init(struct host_config *config);
void host_config_fini(struct host_config *config);
int host_config_check(const struct host_config *config, struct err *err);
int host_config_load(struct host_config *config, const char *path, struct err *err);
/* As vm_config_parse_flags(): --help and --version are the program's. */
int host_config_parse_flags(struct host_config *config, int argc, char *const argv[], int *ret_used,
			    struct err *err);

#endif
