/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* doctor.h - what was found on this host. Inside cli/ only. */
#ifndef NEAP_CLI_DOCTOR_H
#define NEAP_CLI_DOCTOR_H

#include "base/err.h"

enum doctor_verdict { DOCTOR_OK, DOCTOR_WARN, DOCTOR_MISSING };

enum { DOCTOR_FINDINGS_MAX = 16 };

struct doctor_finding {
	const char *what;
	enum doctor_verdict verdict;
	char found[ERR_TEXT_BYTES];
	char advice[ERR_TEXT_BYTES]; /* what to do; "" when all is well */
};

/* Looks at everything; returns how many findings. Takes a second at most. */
unsigned doctor_look(struct doctor_finding ret_findings[DOCTOR_FINDINGS_MAX]);

#endif
