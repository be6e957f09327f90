"""Compile the kernels for GPUs, and hold what ptxas says of them against limits.

Usage: python .ci/check_kernels.py BUILD_DIR. Compiles cuda/ for all major architectures, warnings
being errors, prints registers, stack and spills of each kernel, and fails where one spills or takes
more registers than its limit, which keeps as many threads on a multiprocessor as it needs.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIMITS = {
    "DirectLast": 128,  # 8 blocks of 64 threads, 512 of them, on a multiprocessor
    "FastLast": 102,  # 5 blocks of 128
    "MakeLeaves": 128,
    "MakeTile": 80,
    "Merge": 128,
    "Search": 255,  # a walk and the state of the search: all that a thread can have
    "SegmentSearch": 255,  # both
    "Segmented": 255,  # a panel's nodes
    "WalkLast": 128,  # 2 blocks of 256
}
"""Most registers of a kernel, by the name of its body; of 65,536 on a multiprocessor."""


def compiler() -> Path:
    """Nvcc of this machine, or of the package from the Python registry."""
    found = os.environ.get("CUDACXX") or shutil.which("nvcc")
    if found:
        return Path(found)
    import nvidia

    for folder in map(Path, nvidia.__path__):
        for nvcc in folder.glob("cu*/bin/nvcc"):
            return nvcc
    raise SystemExit("no CUDA compiler: pip install --group cuda")


def build(folder: Path) -> str:
    """Compile the library of kernels; returns what ptxas says."""
    nvcc = compiler()
    libraries = str(nvcc.parent.parent / "lib")
    environment = {**os.environ, "CUDACXX": str(nvcc), "LIBRARY_PATH": libraries}
    ninja = shutil.which("ninja") or "ninja"
    options = ["-DCVXBOUND_CUDA=ON", "-DCVXBOUND_BUILD_PYTHON=OFF", "-DCVXBOUND_WERROR=ON"]
    options += ["-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_CUDA_FLAGS=-Xptxas=-v"]
    configure = ["cmake", "-S", ROOT, "-B", folder, "-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}"]
    subprocess.run([*configure, *options], check=True, env=environment, stdout=subprocess.DEVNULL)
    target = ["--target", "cvxbound_cuda", "--verbose", "--clean-first"]
    command = ["cmake", "--build", folder, *target]
    built = subprocess.run(command, check=False, env=environment, capture_output=True, text=True)
    if built.returncode:
        raise SystemExit(built.stdout + built.stderr)
    return built.stdout + built.stderr


def kernels(log: str) -> list[tuple[str, str, int, int, int]]:
    """Body, architecture, registers, bytes of stack and bytes of spills of each kernel.

    The functions that a kernel calls follow it in the log, and count with it.
    """
    found = []
    for part in log.split("Compiling entry function '")[1:]:
        name, arch = re.match(r"(\S+)' for '(\S+)'", part).groups()
        registers = int(re.search(r"Used (\d+) registers", part)[1])
        stack = max(map(int, re.findall(r"(\d+) bytes stack frame", part)))
        spills = sum(map(int, re.findall(r"(\d+) bytes spill (?:stores|loads)", part)))
        found.append((body_of(name), arch, registers, stack, spills))
    return found


def body_of(mangled: str) -> str:
    """The body that `launch` was given, as it stands in the source."""
    command = ["c++filt", mangled]
    name = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    launched = re.search(r"<(.*)>\(", name)
    return re.sub(
        r"cvxbound::|cuda::|\(anonymous namespace\)::", "", launched[1] if launched else name
    )


def main(folder: Path) -> None:
    """Build, print and check."""
    found = kernels(build(folder))
    if not found:
        raise SystemExit("ptxas named no kernel")
    wrong = []
    for body, arch, registers, stack, spills in sorted(found):
        line = f"{body} {arch}: {registers} registers, {stack} bytes of stack, {spills} of spills"
        print(line)
        if spills or registers > LIMITS[body.partition("<")[0]]:
            wrong.append(line)
    if wrong:
        raise SystemExit("over the limits:\n" + "\n".join(wrong))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
