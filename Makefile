# SPDX-License-Identifier: BSL-1.0
# Thin: installs what is missing, configures, builds, runs. CMake does the work.
BUILD  := build
PREFIX ?= /usr/local
DESTDIR ?=
# Further arguments to cmake, e.g. FLAGS=-DHEDDLE_WERROR=ON.
FLAGS ?=
# ccache may reuse what was compiled with the precompiled header of the tests.
export CCACHE_SLOPPINESS ?= pch_defines,time_macros

help:
	@echo 'make bench      what a switch costs: a table, and $(BUILD)/bench/report.html'
	@echo 'make bench-all  all benchmarks'
	@echo 'make bench-rivals  the same beside Go, Boost.Fiber, tokio and others: docs/benchmarks.md'
	@echo 'make test       build and run all tests'
	@echo 'make examples   build the examples into $(BUILD)/examples/'
	@echo 'make format     clang-format over the sources'
	@echo 'make install    install the library; PREFIX=$(PREFIX), DESTDIR'

# In a new build folder only what was asked for is switched on, since the rest may want packages
# that are not there. What is on stays on.
only := -DHEDDLE_TESTS=OFF -DHEDDLE_BENCH=OFF -DHEDDLE_EXAMPLES=OFF
configure = cmake --preset release $(if $(wildcard $(BUILD)/CMakeCache.txt),,$(only)) $(FLAGS)

bench bench-all:
	@tools/setup build bench
	$(configure) -DHEDDLE_BENCH=ON
	cmake --build $(BUILD) --target bench/all
	/usr/bin/python3 -B bench/report.py --build $(BUILD) $(if $(filter bench-all,$@),--all)

bench-rivals:
	@tools/setup build bench rivals
	$(configure) -DHEDDLE_BENCH=ON -DHEDDLE_RIVALS=ON
	cmake --build $(BUILD) --target bench/all
	/usr/bin/python3 -B bench/rivals.py --build $(BUILD)

test:
	@tools/setup build test
	$(configure) -DHEDDLE_TESTS=ON -DHEDDLE_EXAMPLES=ON
	cmake --build $(BUILD) --target heddle tests/all examples/all
	ctest --test-dir $(BUILD) --output-on-failure

examples:
	@tools/setup build
	$(configure) -DHEDDLE_EXAMPLES=ON
	cmake --build $(BUILD) --target examples/all
	@echo 'The programs are in $(BUILD)/examples/.'

sources := heddle.hpp base fiber sched sync debug bench examples tests
format:
	@tools/setup format
	find $(sources) -name '*.[ch]pp' | xargs clang-format $(if $(CHECK),--dry-run -Werror,-i)

install:
	@tools/setup build
	$(configure) -DCMAKE_INSTALL_PREFIX='$(PREFIX)'
	cmake --build $(BUILD) --target heddle
	DESTDIR='$(DESTDIR)' cmake --install $(BUILD)

.PHONY: help bench bench-all bench-rivals test examples format install
