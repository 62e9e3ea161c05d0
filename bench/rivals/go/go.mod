// SPDX-License-Identifier: BSL-1.0
// The rival that runs on goroutines: no dependencies, so that it builds without a network.

module rival

go 1.19
