/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* exit_code.h - what neap's exit status means; rows in exit_codes.def, also in the man page. */
#ifndef NEAP_BASE_EXIT_CODE_H
#define NEAP_BASE_EXIT_CODE_H

enum exit_code {
#define EXIT_CODE(id, code, help) EXIT_CODE_##id = (code),
#include "base/exit_codes.def"
#undef EXIT_CODE
};

#endif
