# SPDX-License-Identifier: BSD-2-Clause-Patent
# The things a person types; meson and ninja do the work. `make help` lists them.
BUILD   ?= build
SECONDS ?= 30
MINUTES ?= 12
JOBS    ?= $(shell nproc)

.PHONY: all demo test test-asan test-tsan test-clang lab bench stress fuzz format tidy install deb clean help

all: $(BUILD)/build.ninja ## build everything; the program is build/neap
	ninja -C $(BUILD) -j$(JOBS)

$(BUILD)/build.ninja:
	meson setup $(BUILD)

demo: ## install what is missing, build, and show guests' memory go back and forth (90 s)
	tools/setup build
	$(MAKE) all
	$(BUILD)/neap demo

test: ## install what is missing, build, and run every suite with a quick lab run (< 15 min)
	tools/setup test
	$(MAKE) all
	tests/tools/run-tests $(BUILD)

test-asan: ## unit, device, api and fuzz suites with AddressSanitizer and UBSan
	tests/tools/run-sanitized address,undefined

test-tsan: ## the same with ThreadSanitizer
	tests/tools/run-sanitized thread

test-clang: ## does clang build it without a warning?
	[ -e build-clang/build.ninja ] || CC=clang meson setup build-clang
	ninja -C build-clang -j$(JOBS)

lab: all ## stock Linux guests under emulation, all of them (5 min)
	tests/lab/run

bench: all ## measure; a table, and the same as JSON in build/bench.json
	meson test -C $(BUILD) --benchmark --logbase benchlog --num-processes 1 --print-errorlogs
	tests/tools/bench_table.py $(BUILD)/meson-logs/benchlog.json $(BUILD)/bench.json

stress: all ## a million evictions under everything at once: make stress MINUTES=12
	tests/stress/run $(BUILD) $(MINUTES)

fuzz: ## let every fuzz target search: make fuzz SECONDS=30
	tests/fuzz/run $(SECONDS)

format: ## clang-format over the whole tree
	clang-format -i $$(tests/style/tree.py .c .h)

tidy: ## clang-tidy over src
	[ -e build-clang/build.ninja ] || CC=clang meson setup build-clang
	ninja -C build-clang -j$(JOBS)
	run-clang-tidy -quiet -p build-clang -j $(JOBS) '/src/'

install: all ## as meson does; DESTDIR works
	meson install -C $(BUILD)

deb: ## Debian packages, in build/deb (tools/setup test installs what that takes)
	tools/deb $(BUILD)

clean: ## remove every build directory
	rm -rf build build-clang build-address-undefined build-thread build-fuzz

help:
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14
