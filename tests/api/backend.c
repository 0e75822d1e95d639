/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* backend.c - see backend.h. */
#include "backend.h"

#include <errno.h>
#include <unistd.h>

static enum api_state vm_state(void *ctx)
{
	return ((struct counting_vm *)ctx)->state;
}

static int vm_info(void *ctx, struct api_request *request, json_t **ret_result, struct err *err)
{
	(void)request;
	(void)err;
	*ret_result =
		json_pack("{s:s}", "state", api_state_name(((struct counting_vm *)ctx)->state));
	return 0;
}

static int vm_pause(void *ctx, struct api_request *request, json_t **ret_result, struct err *err)
{
	((struct counting_vm *)ctx)->pauses++;
	return vm_info(ctx, request, ret_result, err);
}

static int vm_resume(void *ctx, struct api_request *request, json_t **ret_result, struct err *err)
{
	((struct counting_vm *)ctx)->resumes++;
	return vm_info(ctx, request, ret_result, err);
}

static int vm_memory_set(void *ctx, struct api_request *request, json_t **ret_result,
			 struct err *err)
{
	struct counting_vm *vm = ctx;

	(void)err;
	vm->balloon_bytes =
		(uint64_t)json_integer_value(json_object_get(request->params, "balloon_bytes"));
	*ret_result = json_pack("{s:I}", "asked_bytes", (json_int_t)vm->balloon_bytes);
	return 0;
}

static int vm_reset(void *ctx, struct api_request *request, json_t **ret_result, struct err *err)
{
	(void)ctx;
	(void)request;
	(void)ret_result;
	return err_set(err, -EIO, "the reset line is \"\xff\" broken");
}

static int vm_console(void *ctx, struct api_request *request, json_t **ret_result, struct err *err)
{
	(void)ctx;
	(void)request;
	(void)err;
	*ret_result = json_pack("{s:b}", "stream", 1);
	return 0;
}

static void take_console(void *ctx, int fd)
{
	struct counting_vm *vm = ctx;

	if (vm->console_fd >= 0)
		(void)close(vm->console_fd);
	vm->console_fd = fd;
}

struct api_backend counting_backend(struct counting_vm *vm)
{
	static const api_handler handlers[API_VERB_COUNT] = {
		[API_VM_INFO] = vm_info,     [API_VM_PAUSE] = vm_pause,
		[API_VM_RESUME] = vm_resume, [API_VM_MEMORY_SET] = vm_memory_set,
		[API_VM_RESET] = vm_reset,   [API_VM_CONSOLE] = vm_console,
	};

	return (struct api_backend){
		.set = &api_vm_set,
		.state = vm_state,
		.handlers = handlers,
		.take_console = take_console,
		.ctx = vm,
	};
}
