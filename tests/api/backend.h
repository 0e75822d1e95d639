/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* backend.h - the smallest VM behind a socket: it counts what it is asked to do. */
#ifndef NEAP_TESTS_API_BACKEND_H
#define NEAP_TESTS_API_BACKEND_H

#include <stdint.h>

#include "api/api.h"

/* Written by the server's thread, read by the test's. */
struct counting_vm {
	_Atomic(enum api_state) state;
	_Atomic unsigned pauses, resumes;
	_Atomic uint64_t balloon_bytes;
	_Atomic int console_fd; /* -1: nobody came */
};

/* @vm outlives the backend. vm.reset fails with words of no known code, vm.stop is not offered. */
struct api_backend counting_backend(struct counting_vm *vm);

#endif
