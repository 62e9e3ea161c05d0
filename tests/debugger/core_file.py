# SPDX-License-Identifier: BSL-1.0
# core_file: a core file that the system writes of `parked`, for the debuggers' tests.
import resource
import subprocess
import unittest
from pathlib import Path

PATIENCE_S = 500


def of(program, count, how, folder):
    """Its path, in `folder`; `how` as parked has it. Skips the test where there is none to be had."""
    pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    if "/" in pattern or pattern.startswith("|"):
        raise unittest.SkipTest(f"this system keeps core files where it wants to: {pattern}")

    def allow():
        resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)

    try:
        subprocess.run([program, str(count), how], cwd=folder, preexec_fn=allow,
                       capture_output=True, timeout=PATIENCE_S)
    except subprocess.SubprocessError:
        raise unittest.SkipTest("core files are not allowed here") from None
    cores = [f for f in Path(folder).iterdir() if f.name.startswith("core")]
    if not cores:
        raise unittest.SkipTest("the system wrote no core file")
    return cores[0]
