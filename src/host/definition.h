/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* definition.h - what is stored of a VM, from a client's words and to its file and back.
 *
 * Pure, but for the memory. Threads: any.
 */
#ifndef NEAP_HOST_DEFINITION_H
#define NEAP_HOST_DEFINITION_H

#include "host/hosted.h"

void definition_fini(struct definition *definition); /* zeroed is fine */

/* From a client's config (as vm.json) and labels (NULL: none). Paths must be absolute, since nobody knows
 * here where the client stands. @err names what is wrong. */
int definition_make(struct definition *ret_definition, const json_t *untrusted_config,
		    const json_t *untrusted_labels, struct err *err);

/* "never", "on-failure", "always". */
int definition_read_restart(const char *untrusted_text, enum hosted_restart *ret_restart,
			    struct err *err);

/* As its file has it: a new reference, or NULL: no memory. */
json_t *definition_to_json(const struct definition *definition);
int definition_from_json(struct definition *ret_definition, const json_t *object, struct err *err);

/* The VM's options as neap reads them; vm_config_fini() is the caller's. */
int definition_read_config(const json_t *config, struct vm_config *ret_config, struct err *err);
/* And back: a new reference. */
json_t *definition_write_config(const struct vm_config *config);

/* One option's value in such a configuration; NULL: not given. */
struct option_row;
const json_t *definition_value(const json_t *config, const struct option_row *row);

#endif
