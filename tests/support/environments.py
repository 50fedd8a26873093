"""Environments of Python that a test makes, and what pip puts into them."""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path


class FreshEnvironment:
    """An environment that knows nothing of this checkout."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder)
        self._packages = next(folder.glob("lib/python*/site-packages"))
        self.bin = folder / "bin"
        self.python = self.bin / "python"

    def install(self, *what: str | Path, **env: str) -> None:
        """Let pip install it, by the settings that pip has on this machine."""
        pip: list[str | Path] = [
            sys.executable,
            "-m",
            "pip",
            "--python",
            self.python,
            "--disable-pip-version-check",
            "install",
            "-qq",
        ]
        told([*pip, *what], self.bin, **env)

    def names(self) -> set[str]:
        """What lies in it; not what an editable installation points to."""
        pip: list[str | Path] = [sys.executable, "-m", "pip", "list", "--format", "json", "--path", self._packages]
        return {each["name"] for each in json.loads(told(pip, self.bin))}


def build(project: Path, out: Path, *options: str) -> None:
    """Build a project's distributions in an environment of their own; as a rule the source, and of that the wheel."""
    told([sys.executable, "-m", "build", "--quiet", *options, "--outdir", out, project], project)


def told(command: list[str | Path], folder: Path, **env: str) -> str:
    """What a command wrote; it must succeed. Nothing of this checkout is in its environment."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        command, cwd=folder, env={**kept, **env}, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout
