# SPDX-License-Identifier: BSL-1.0
# Runs an example. What the tests beside this file share.
import os
import re
import subprocess
from pathlib import Path

FOLDER = Path(os.environ.get("HEDDLE_EXAMPLES", "build/examples")).resolve()
SANITIZE = os.environ.get("HEDDLE_SANITIZE", "")
WORLDS = (1, 2, 8)  # numbers of workers
TIMEOUT_S = 600 if SANITIZE else 120  # one that takes longer hangs


def run(name, *arguments, workers=None, **options):
    """Runs an example to its end; returns its exit status, and its output and errors as bytes."""
    environment = dict(os.environ)
    environment.pop("HEDDLE_WORKERS", None)
    if workers:
        environment["HEDDLE_WORKERS"] = str(workers)
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    done = subprocess.run([FOLDER / name, *arguments], env=environment, timeout=TIMEOUT_S,
                          **{**streams, **options})
    # On a machine with too much to do, any fiber may run for so long that the watchdog names it.
    done.stderr = re.sub(rb"heddle: fiber .* has run for .*\n(    .*\n)*", b"", done.stderr)
    return done
