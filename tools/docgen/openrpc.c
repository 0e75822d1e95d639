/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* openrpc.c - both interfaces as OpenRPC documents, for who has no VM and no daemon to ask. */
#include <stdio.h>
#include <stdlib.h>

#include "docgen.h"

#include "api/api.h"

static void print(const struct api_set *set)
{
	json_t *document = api_discover(set);

	if (!document || json_dumpf(document, stdout, JSON_INDENT(2)) < 0) {
		(void)fputs("docgen: no memory for an OpenRPC document\n", stderr);
		exit(1);
	}
	(void)putchar('\n');
	json_decref(document);
}

void openrpc_host(void)
{
	print(&api_host_set);
}

void openrpc_vm(void)
{
	print(&api_vm_set);
}
