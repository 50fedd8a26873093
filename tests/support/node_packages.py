"""Packages of Node.js for the tests that run it, installed once under ``var/``; without them those are skipped."""

import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.support.processes import ROOT

_INSTALL = ("npm", "install", "--no-package-lock", "--ignore-scripts", "--prefer-offline", "--fetch-retries=0")
INSTALL_TIMEOUT_S = 60.0


def folder_with(packages: dict[str, str]) -> Path:
    """A folder whose ``node_modules`` holds exact versions of packages."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not on this machine")
    name = re.sub(r"[^a-z0-9.]+", "-", " ".join(f"{package} {version}" for package, version in packages.items()))
    folder = ROOT / "var" / "node" / name.strip("-")
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as place:
            made = Path(place) / "made"
            made.mkdir()
            _install(made, packages)
            if not folder.is_dir():  # else another run of the tests was faster
                made.rename(folder)
    return folder


def _install(folder: Path, packages: dict[str, str]) -> None:
    manifest = {"private": True, "type": "module", "dependencies": packages}
    (folder / "package.json").write_text(json.dumps(manifest), encoding="utf-8")
    try:
        done = subprocess.run(
            _INSTALL, cwd=folder, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.skip("npm gets no answer from its registry")
    if done.returncode:
        pytest.skip(f"npm cannot install {', '.join(packages)}: exit code {done.returncode}")
