/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* hosted.h - a VM as the daemon knows it, and all of them.
 *
 * A VM is stored (it has a definition on STORE_VMS), or transient: started by vm.run, or by a person with
 * `neap run`, found by its socket and adopted. What runs has a process, and a link once its socket
 * answers. Life is lifecycle.c's; what is here is what everybody else reads.
 * Threads: the loop's.
 */
#ifndef NEAP_HOST_HOSTED_H
#define NEAP_HOST_HOSTED_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "api/api.h"
#include "api/usage.h"
#include "config/vm_config.h"
#include "host/broker.h"
#include "host/idempotency.h"
#include "host/process.h"
#include "rpc/link.h"

struct host;

enum hosted_restart { HOSTED_RESTART_NEVER, HOSTED_RESTART_ON_FAILURE, HOSTED_RESTART_ALWAYS };
extern const char *const hosted_restart_names[]; /* NULL at the end */

/* What is stored of a VM: the file NAME.json on STORE_VMS. */
struct definition {
	char name[VM_NAME_BYTES];
	char uuid[37];
	json_t *config; /* as vm.json, complete, checked */
	json_t *labels; /* object of strings */
	bool autostart;
	enum hosted_restart restart;
	struct idempotency_key key; /* it was created with */
};

struct hosted {
	struct host *host;
	struct definition definition;
	bool is_transient; /* nothing is stored */
	bool is_adopted;   /* its process was found, not started, by this daemon */
	bool is_updating;  /* its VM is being asked for an update of it */

	const char
		*state;	  /* a name of states.def or host_states.def; "stopped" without a process */
	char reason[512]; /* in words; "" when there is nothing to say */
	unsigned restarts;	       /* since somebody started it */
	unsigned failures;	       /* ends in a row that were restarted */
	bool end_is_wanted;	       /* somebody asked what runs to end */
	uint64_t started_ns, ended_ns; /* clock_now_ns(); 0: not since this daemon began */
	struct process_end end;	       /* of the last run, when ended_ns > 0 */

	struct process *process; /* NULL: it does not run */
	struct rpc_link *link;	 /* NULL: not connected (yet) */
	struct broker_vm *broker_vm;
	struct api_usage usage; /* the last memory.usage; present == 0: none yet */
	uint64_t usage_at_ns;
	struct strbuf usage_text; /* the same, made when it is asked for (hosted_write_usage()) */

	struct idempotency_key start_key; /* of a client's last start of it */
	pid_t start_pid;		  /* what that start led to; 0: to nothing (yet) */

	struct life *life;	 /* lifecycle.c's own */
	struct contact *contact; /* contact.c's own */
	json_t *running_config;	 /* what its process was started with; NULL: not known (yet) */
	struct hosted *next_removed;
};

/* All of them, sorted by name; valid until the next turn of the loop. */
struct hosted *const *host_vms(const struct host *host, unsigned *ret_count);

/* By name or UUID; NULL: none. */
struct hosted *host_find(const struct host *host, const char *name_or_uuid);

/* An event of api_host_set to all subscribers; @vm NULL: of the host. Steals @data. */
void host_publish(struct host *host, const struct hosted *vm, const char *kind, json_t *data);

/* For those who follow inside the daemon (the page): called after each event was published. One. */
void host_set_listener(struct host *host,
		       void (*on_event)(void *ctx, const struct hosted *vm, const char *kind,
					const json_t *data),
		       void *ctx);

/* What was told last, as JSON. */
void hosted_write_usage(struct hosted *vm, struct strbuf *out);
void hosted_set_usage(struct hosted *vm, const struct api_usage *usage);

/* What is longer is cut, and is UTF-8 all the same. */
void hosted_set_reason(struct hosted *vm, const char *untrusted_sentence);

struct broker *host_broker(const struct host *host);

/* --- selectors: see host_verbs.def --------------------------------------------------------------- */

struct selector; /* opaque */
int selector_parse(const char *untrusted_text, struct selector **ret_selector, struct err *err);
void selector_free(struct selector *selector);
bool selector_matches(const struct selector *selector, const struct hosted *vm);

/* Labels as one may set them: keys [A-Za-z0-9][A-Za-z0-9._/-]{0,62}, values at most 255 bytes without
 * control characters and commas, at most 64; not all, name, state. 0, or -EINVAL with a sentence. Null values are fine if @may_remove. */
int labels_check(const json_t *untrusted_labels, bool may_remove, struct err *err);
bool label_is_key(const char *untrusted_key);

#endif
