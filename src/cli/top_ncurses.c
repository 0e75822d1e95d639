/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* top_ncurses.c - see top_ncurses.h. */
#include "cli/top_ncurses.h"

#include <dlfcn.h>
#include <stdint.h>

/* The interface of ncurses 6 with wide characters; its headers and this name belong together. */
static const char library_name[] = "libncursesw.so.6";

static bool find_all(void *handle, struct top_ncurses *ret_library)
{
	bool all = true;

#define NCURSES_FIND(name)                                                                  \
	ret_library->name = (__typeof__(ret_library->name))(uintptr_t)dlsym(handle, #name); \
	all = all && ret_library->name;
	NCURSES_FUNCTIONS(NCURSES_FIND)
#undef NCURSES_FIND
	ret_library->whole = dlsym(handle, "stdscr");
	ret_library->terminal = dlsym(handle, "cur_term");
	return all && ret_library->whole && ret_library->terminal;
}

const struct top_ncurses *top_ncurses_get(void)
{
	static struct top_ncurses library;
	void *handle = dlopen(library_name, RTLD_NOW | RTLD_LOCAL);

	return handle && find_all(handle, &library) ? &library : NULL;
}
