"""pyproject.toml names exactly what lies on disk, and a wheel would hold it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
OUTSIDE = ("backends", "firmware_stubs", "mappers", "simulators")

LIST_WHEEL = """
import json, sys, warnings
warnings.simplefilter("ignore")
from setuptools import Distribution
dist = Distribution()
dist.parse_config_files()
dist.script_name = "setup.py"  # there is none; setuptools only compares names with it
dist.include_package_data = False  # else egg_info would run, and write into the checkout
command = dist.get_command_obj("build_py")
command.ensure_finalized()
command.build_lib = ""
names = command.get_outputs(include_bytecode=0)
sys.stdout.write(json.dumps([name.replace("\\\\", "/").lstrip("/") for name in names]))
"""


@pytest.fixture(scope="module")
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def folders() -> dict[str, Path]:
    """Every package on disk: dotted name as installed -> folder."""
    found = {}
    for top in ("hwsdk", *OUTSIDE):
        for init in (ROOT / top).rglob("__init__.py"):
            parts = init.parent.relative_to(ROOT).parts
            found[".".join(parts if top == "hwsdk" else ("hwsdk", *parts))] = init.parent
    return found


def wheel_files() -> set[str]:
    """What build_py would put into a wheel."""
    run = subprocess.run([sys.executable, "-c", LIST_WHEEL], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(json.loads(run.stdout.splitlines()[-1]))


def test_packages_are_the_folders_on_disk(project: dict) -> None:
    listed = project["tool"]["setuptools"]["packages"]
    assert len(set(listed)) == len(listed)
    assert set(listed) == set(folders())


def test_every_folder_with_code_is_a_package() -> None:
    with_code = {p.parent for top in ("hwsdk", *OUTSIDE) for p in (ROOT / top).rglob("*.py")}
    assert with_code == set(folders().values())


def test_only_the_name_hwsdk_is_installed(project: dict) -> None:
    directories = project["tool"]["setuptools"]["package-dir"]
    assert {name.split(".")[0] for name in directories} == {"hwsdk"}
    assert {name for name in directories if name != "hwsdk"} == {f"hwsdk.{name}" for name in OUTSIDE}


def test_a_wheel_holds_all_code_and_data() -> None:
    names = wheel_files()
    assert "hwsdk/backends/__init__.py" in names
    expected = set()
    for name, folder in folders().items():
        inside = [p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts]
        expected |= {"/".join((*name.split("."), *p.relative_to(folder).parts)) for p in inside}
    assert expected - names == set(), "not packaged: add it to [tool.setuptools.package-data]"
    assert names - expected == set()


def test_data_globs_match_something(project: dict) -> None:
    for package, globs in project["tool"]["setuptools"].get("package-data", {}).items():
        for glob in globs:
            assert list(folders()[package].glob(glob)), f"nothing matches {glob} in {package}"


def test_the_test_extra_is_in_step_with_the_makefile(project: dict) -> None:
    extras = project["project"]["optional-dependencies"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "'.[test,examples]'" in makefile
    assert {"test", "examples", "frameworks"} <= set(extras)
