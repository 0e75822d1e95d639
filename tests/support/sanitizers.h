/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* sanitizers.h - which sanitizer this test was built with, 0 or 1. gcc says it by macros, clang by features. */
#ifndef NEAP_TESTS_SANITIZERS_H
#define NEAP_TESTS_SANITIZERS_H

#ifdef __has_feature
#define SANITIZERS_FEATURE(name) __has_feature(name)
#else
#define SANITIZERS_FEATURE(name) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || SANITIZERS_FEATURE(address_sanitizer)
#define WITH_ASAN 1
#else
#define WITH_ASAN 0
#endif

#if defined(__SANITIZE_THREAD__) || SANITIZERS_FEATURE(thread_sanitizer)
#define WITH_TSAN 1
#else
#define WITH_TSAN 0
#endif

#endif
