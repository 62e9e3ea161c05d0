#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
# variants_test: trap 1: what a compiler may keep over a switch depends on how it compiles. Builds
# the library and one program in several ways, and runs it.
#   variants_test.py BUILD_FOLDER LAUNCHER [--all]      LAUNCHER is ccache, or empty
# Without --all only those that differ most from the build that all other tests run in, and many
# sources at a time, which is faster and gives the compiler more to see.
import os
import shutil
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).absolute().parent / "variants"

# name: (compiler, flags, shared, link-time optimisation, in every run)
VARIANTS = {
    "gcc-O0": ("g++", "-O0", False, False, False),
    "gcc-O2": ("g++", "-O2", False, False, False),
    "gcc-O3": ("g++", "-O3", False, False, False),
    "gcc-O0-shared": ("g++", "-O0", True, False, True),
    "gcc-O2-shared": ("g++", "-O2", True, False, True),
    "gcc-O3-lto": ("g++", "-O3", False, True, True),
    "clang-O0": ("clang++", "-O0", False, False, False),
    "clang-O2": ("clang++", "-O2", False, False, False),
    "clang-O3": ("clang++", "-O3", False, False, False),
    "clang-O2-shared": ("clang++", "-O2", True, False, True),
    "clang-O3-lto": ("clang++", "-O3", False, True, False),
}


def build(folder, launcher, unity, compiler, flags, shared, lto):
    definitions = {
        "CMAKE_BUILD_TYPE": "None",
        "CMAKE_CXX_COMPILER": compiler,
        "CMAKE_CXX_COMPILER_LAUNCHER": launcher,
        "CMAKE_CXX_FLAGS": flags + (" -flto" if lto else ""),
        "BUILD_SHARED_LIBS": "ON" if shared else "OFF",
        "CMAKE_UNITY_BUILD": "ON" if unity else "OFF",
        "CMAKE_UNITY_BUILD_BATCH_SIZE": 16,
    }
    if lto:  # archives of intermediate code want tools that can read it
        tool = "llvm-" if "clang" in compiler else "gcc-"
        for variable in ("AR", "RANLIB"):
            found = shutil.which(tool + variable.lower())
            if not found and tool == "llvm-":
                found = shutil.which(f"llvm-{variable.lower()}-14")
            definitions["CMAKE_" + variable] = found or shutil.which(variable.lower())
        if "clang" in compiler:
            definitions["CMAKE_EXE_LINKER_FLAGS"] = "-fuse-ld=lld"
    configure = ["cmake", "-S", SOURCE, "-B", folder]
    if shutil.which("ninja"):
        configure += ["-G", "Ninja"]
    run(configure + [f"-D{k}={v}" for k, v in definitions.items()])
    run(["cmake", "--build", folder, "-j2"])


def run(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]}: status {done.returncode}\n{done.stdout[-4000:]}")
    return done.stdout


def main():
    folder, launcher = Path(sys.argv[1]), sys.argv[2]
    everything = "--all" in sys.argv
    os.environ.pop("HEDDLE_CHAOS", None)
    failed = False
    for name, (compiler, flags, shared, lto, always) in VARIANTS.items():
        if not (everything or always):
            continue
        if not shutil.which(compiler) or "clang" in compiler and lto and not shutil.which("ld.lld"):
            print(f"{name}: not built: no {compiler}, or no linker for it")
            continue
        try:
            build(folder / name, launcher, not everything, compiler, flags, shared, lto)
            print(f"{name}: {run([folder / name / 'worker_pointer']).strip()}")
        except RuntimeError as error:
            failed = True
            print(f"{name}: FAILED: {error}")
    sys.exit(1 if failed else 0)


main()
