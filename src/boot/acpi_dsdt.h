/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* acpi_dsdt.h - the body of neap's DSDT: what devices there are, in AML. */
#ifndef NEAP_BOOT_ACPI_DSDT_H
#define NEAP_BOOT_ACPI_DSDT_H

#include "boot/acpi_aml.h"
#include "boot/boot.h"

/* vCPU names have three hexadecimal digits. */
enum { ACPI_MAX_CPUS = 4096 };

void acpi_dsdt_body(struct aml *aml, const struct acpi_config *config);

#endif
