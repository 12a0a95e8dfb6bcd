"""`import hwsdk` and `hwsdk --help` load nothing heavy, so that they start at once."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"numpy", "numba", "nir", "torch", "lava", "scipy", "h5py", "pydantic", "rich", "sklearn", "matplotlib"}

IMPORT = "import hwsdk"
HELP = """
import sys
from hwsdk.cli import main
sys.argv = ["hwsdk", "--help"]
try:
    main(["--help"])
except SystemExit as end:
    assert not end.code, end.code
"""
MODULE_HELP = """
import runpy, sys
sys.argv = ["hwsdk", "--help"]
try:
    runpy.run_module("hwsdk.cli", run_name="__main__")
except SystemExit as end:
    assert not end.code, end.code
"""
VERSION = "import hwsdk; assert hwsdk.__version__"
NAMES = "import hwsdk; assert 'compile' in hwsdk.__all__; dir(hwsdk)"
ERRORS = "from hwsdk import HwsdkError"
TABLE = "import hwsdk.backends; assert 'loihi2' in hwsdk.backends.names()"


@pytest.mark.parametrize("code", [IMPORT, HELP, MODULE_HELP, VERSION, NAMES, ERRORS, TABLE],
                         ids=["import", "help", "module-help", "version", "names", "errors", "table"])
def test_nothing_heavy_is_loaded(code: str) -> None:
    report = "\nimport sys\nprint('LOADED', *{m.split('.')[0] for m in sys.modules})"
    run = subprocess.run([sys.executable, "-c", code + report], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    loaded = set(run.stdout.splitlines()[-1].split()[1:])
    assert loaded & HEAVY == set()
