/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* fuzz_bzimage.c - as fuzz_elf.c, from a corpus of bzImages. */
#include "fuzz_elf.c" /* NOLINT: one target, two corpora */
