/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* books.h - a VM enters the broker's books, by its configuration, and leaves them. */
#ifndef NEAP_HOST_BOOKS_H
#define NEAP_HOST_BOOKS_H

#include "host/hosted.h"

/* May it start? As broker_admit(); what @on_room gets is the VM. */
int books_admit(struct hosted *vm, bool may_wait,
		void (*on_room)(void *vm, struct broker_vm *broker_vm),
		struct broker_wait **ret_wait, struct err *err);
int books_enter(struct hosted *vm, struct err *err); /* it runs already */

/* As broker_first_grant_bytes(). */
uint64_t books_first_grant_bytes(const struct hosted *vm);
void books_leave(struct hosted *vm); /* its process is gone */

#endif
