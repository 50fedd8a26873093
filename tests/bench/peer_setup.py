"""The peer's own virtual environment, made once."""

import json
import subprocess
import venv
from pathlib import Path

from tests.support.processes import ROOT

_REQUIREMENT = "cryptofeed[redis]==2.4.*"
_INSTALL_S = 600.0
_VERSIONS = (
    "import json, importlib.metadata as m; "
    "names = ('cryptofeed', 'redis', 'hiredis', 'websockets', 'uvloop', 'yapic.json'); "
    "print(json.dumps({name: m.version(name) for name in names}))"
)


class PeerMissingError(Exception):
    """The peer cannot be installed here; the message says why."""


def peer_python(folder: Path = ROOT / "var" / "bench" / "peer") -> Path:
    """The interpreter of an environment that has the peer; makes it where it is not there yet.

    Raises:
        PeerMissingError: It cannot be installed.
    """
    python = folder / "bin" / "python"
    try:
        if not python.exists():
            venv.create(folder, with_pip=True)
        if not _has_peer(python):
            command = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", _REQUIREMENT]
            subprocess.run(command, check=True, capture_output=True, timeout=_INSTALL_S)
    except (OSError, subprocess.SubprocessError) as error:
        raise PeerMissingError(f"{_REQUIREMENT} cannot be installed ({type(error).__name__})") from error
    return python


def _has_peer(python: Path) -> bool:
    command = [str(python), "-c", "import cryptofeed, redis, hiredis"]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def peer_versions(python: Path) -> dict[str, str]:
    """Versions of what the peer is made of."""
    done = subprocess.run([str(python), "-c", _VERSIONS], check=True, capture_output=True, text=True)
    versions: dict[str, str] = json.loads(done.stdout)
    return versions
