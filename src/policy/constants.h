/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* constants.h - POLICY_<id> for each row of constants.def. The unit is the end of the name. */
#ifndef NEAP_POLICY_CONSTANTS_H
#define NEAP_POLICY_CONSTANTS_H

enum policy_constant {
#define CONST(id, value, unit, reason) POLICY_##id = (value),
#include "policy/constants.def"
#undef CONST
};

#endif
