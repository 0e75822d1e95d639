/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* image.h - the embedded guest as bytes: an ELF64 with a PVH note, for boot_load(). */
#ifndef BARE_IMAGE_H
#define BARE_IMAGE_H

#include <stddef.h>

extern const unsigned char bare_guest_image[];
extern const size_t bare_guest_image_bytes;

#endif
