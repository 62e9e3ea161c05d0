// SPDX-License-Identifier: BSL-1.0
// plugin: what unload.cpp calls in the plugin that it loads; all of it returns 45.
#pragma once

extern "C" {

/// Makes a runtime of the plugin's own copy of heddle, uses it, and ends it.
int use_own_runtime();
/// Uses its default runtime, which nothing ends.
int use_default_runtime();
/// What a runtime of its own has computed in dlopen(), if HEDDLE_TEST_WHILE_LOADING is set.
int used_while_loading();
}
