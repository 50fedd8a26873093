"""All tests over the Pythons that are on this machine, and without a C compiler: ``make test-all``.

Each session has an environment of its own. What it installs has the exact versions of ``constraints.txt``.
"""

import os
import shutil
import subprocess
from pathlib import Path

import nox

VERSIONS = ("3.11", "3.12", "3.13", "3.14")
TESTS = ("pytest", "-n", "3", "--dist", "loadfile", "--no-loadscope-reorder")

nox.options.default_venv_backend = "venv"
nox.options.stop_on_first_error = False


def show_pyenv_all() -> None:
    """Pyenv hides the Pythons that are not chosen."""
    if shutil.which("pyenv") and "PYENV_VERSION" not in os.environ:
        listed = subprocess.run(["pyenv", "versions", "--bare"], capture_output=True, text=True, check=False).stdout
        os.environ["PYENV_VERSION"] = ":".join([*listed.split()[::-1], "system"])


def works(version: str) -> bool:
    """Whether this Python is there; what has its name may also only say that it is not."""
    program = shutil.which(f"python{version}")
    return program is not None and not subprocess.run([program, "-V"], capture_output=True, check=False).returncode


show_pyenv_all()
THERE = [version for version in VERSIONS if works(version)]


@nox.session(python=THERE)
def tests(session: nox.Session) -> None:
    """All tests, and the types as that Python has them."""
    install(session)
    session.run("mypy", "--python-version", str(session.python))
    session.run(*TESTS, "-m", "distributions or not distributions", *session.posargs)


@nox.session(python=THERE[:1], name="no-compiler")
def no_compiler(session: nox.Session) -> None:
    """Where nothing can be compiled the same holds; the tests of what is compiled are passed over."""
    install(session, CC="false")
    session.run(*TESTS, *session.posargs)


def install(session: nox.Session, **env: str) -> None:
    """Both distributions and the tools, of a copy of the checkout in which nothing is compiled yet; go there."""
    copy = Path(session.virtualenv.location) / "checkout"
    shutil.rmtree(copy, ignore_errors=True)
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in filter(None, subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\0")):
        if Path(name).is_file():  # else it is about to be removed
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(name, copy / name)
    beside = Path.cwd().parent / "shared"
    if beside.is_dir():  # captures, for those who have them
        (copy.parent / "shared").unlink(missing_ok=True)
        (copy.parent / "shared").symlink_to(beside)
    session.chdir(copy)
    session.run("git", "init", "--quiet", external=True, silent=True)
    session.run("git", "add", "--all", external=True, silent=True)
    session.install("-c", "constraints.txt", "-e", "./tickfleet[pandas,polars]", "-e", ".[dev,embedded]", env=env)
