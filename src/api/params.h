/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* params.h - a call's parameters, by name or position, against its row. For api.c. */
#ifndef NEAP_API_PARAMS_H
#define NEAP_API_PARAMS_H

#include "api/api.h"

/**
 * params_check() - the parameters as an object that obeys the row
 * @has_deadline:     deadline_ms is not looked at
 * @untrusted_params: an object, an array or NULL; borrowed
 * @ret_params:       a new reference, never NULL on success
 *
 * Return: 0; API_ERROR_INVALID_PARAMS or API_ERROR_INTERNAL (no memory) with a sentence in @err.
 */
int params_check(const struct api_verb_row *verb, bool has_deadline, const json_t *untrusted_params,
		 json_t **ret_params, struct err *err);

#endif
