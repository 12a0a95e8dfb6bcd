"""Add up junit files: refuse skips that CI could have avoided, and end with "N passed, N failed, N skipped"."""

from __future__ import annotations

import os
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

CORPUS = Path(os.environ.get("HWSDK_CORPUS", "../shared/corpus"))


def reason(skipped: ET.Element) -> str:
    """Why a test was skipped; for a whole module pytest hides it in the text."""
    found = re.search(r"Skipped: (.*?)['\")]*$", skipped.text or "", re.DOTALL)
    message = skipped.get("message", "")
    return found.group(1) if message == "collection skipped" and found else message


def allowed(why: str) -> bool:
    """True for a skip that CI cannot avoid."""
    if why.startswith("Lava needs Python 3.10"):
        return Path("build/no-python3.10").exists()
    return why.startswith("the corpus is missing") and not CORPUS.exists()


def main(paths: list[str]) -> int:
    """0 if something passed, nothing failed and every skip is allowed."""
    passed = failed = 0
    skips: list[tuple[str, str]] = []
    for case in (case for path in paths if Path(path).exists() for case in ET.parse(path).iter("testcase")):
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
        elif skipped is not None and skipped.get("type") != "pytest.xfail":
            skips.append((f"{case.get('classname')}::{case.get('name')}", reason(skipped)))
        else:
            passed += 1
    refused = [(name, why) for name, why in skips if not allowed(why)]
    for name, why in refused:
        print(f"skipped in CI although CI can provide it: {name}: {why}")
    print(f"{passed} passed, {failed} failed, {len(skips)} skipped")
    return int(bool(failed or refused or not passed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
