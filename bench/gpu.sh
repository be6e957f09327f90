#!/usr/bin/env bash
# All there is to do on a machine with a GPU: build, test, look for memory errors and races, measure.
#
# Usage: bash bench/gpu.sh [TABLE.md]. Needs nvcc and a driver, and Debian's packages of the README; makes
# its own environment in build/gpu. The table, with the facts of the machine, belongs into docs/gpu.md.
set -euo pipefail
cd "$(dirname "$0")/.."
table=${1:-build/gpu/table.md}
bin=build/gpu/bin

python3 -m venv build/gpu
"$bin/pip" install --quiet --upgrade pip
"$bin/pip" install --quiet --group test ".[cuda]" --config-settings cmake.define.CVXBOUND_CUDA=ON
"$bin/cvxbound" doctor
"$bin/pytest" -q tests/test_cuda.py tests/test_sweep_cuda.py

if command -v compute-sanitizer > /dev/null; then
  for tool in memcheck racecheck synccheck; do
    # The pool of CuPy would hide where arrays end.
    compute-sanitizer --tool "$tool" --error-exitcode 1 "$bin/python" -c "
import sys, cupy, pytest
cupy.cuda.set_allocator(None)
sys.exit(pytest.main(['-q', '-x', 'tests/test_cuda.py', '-k', 'gpu and not long']))"
  done
else
  echo "no compute-sanitizer on the path: memory errors and races were not looked for" >&2
fi

"$bin/python" bench/gpu.py --out "$table"
