import os
import socket
import subprocess
from pathlib import Path

import pytest

from common.config.environment import read_environment
from common.config.place import REMEDY, close_to_others, unfit
from tickfleet.errors import InvalidConfigurationError

LONGEST = 79
"""Of a folder, in bytes: 107 without ``/var/supervisor.sock.4194304``."""


@pytest.mark.parametrize(
    "folder", ["/srv/fleet", "/srv/our fleet", "/srv/a;b#c$d&e\\f~{g}", "/srv/\u00fc" * 11, "/" + "x" * 78]
)
def test_a_fit_folder(folder: str) -> None:
    assert unfit(Path(folder)) == ""


@pytest.mark.parametrize(
    ("folder", "found"),
    [
        ("/srv/100%", "'%'"),
        ("/srv/%(here)s", "'%'"),
        ("/srv/a'b", '"\'"'),
        ('/srv/a"b', "'\"'"),
        ("/srv/a ;b", "' ;'"),
        ("/srv/a #b", "' #'"),
        ("/srv/a\nb", "a control character"),
    ],
)
def test_a_folder_that_supervisord_cannot_name(folder: str, found: str) -> None:
    assert unfit(Path(folder)) == f"the folder {folder!r} holds {found}, which supervisord's settings cannot hold"


@pytest.mark.parametrize("folder", ["/" + "x" * LONGEST, "/" + "\u00fc" * 40])
def test_a_folder_that_is_too_deep(folder: str) -> None:
    length = len(folder.encode()) + len("/var/supervisor.sock.4194304")
    assert unfit(Path(folder)) == (
        f"the folder {folder!r} is too deep: the path of a unix socket has at most 107 bytes, and supervisord's would"
        f" have {length}"
    )


def test_the_longest_path_of_a_socket_is_what_the_system_takes(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * (LONGEST - len(str(tmp_path)) - 1))
    (folder / "var").mkdir(parents=True)
    assert unfit(folder) == ""
    with socket.socket(socket.AF_UNIX) as taken:
        taken.bind(str(folder / "var" / "supervisor.sock.4194304"))
    with socket.socket(socket.AF_UNIX) as refused, pytest.raises(OSError, match="too long"):
        refused.bind(str(folder / "var" / "supervisor.sock.41943040"))


def test_what_is_started_there_by_hand_refuses() -> None:
    with pytest.raises(InvalidConfigurationError) as caught:
        read_environment({"TICKFLEET_ROOT": "/srv/100%"}).at_fit_place()
    assert str(caught.value) == (
        f"the folder '/srv/100%' holds '%', which supervisord's settings cannot hold: {REMEDY}"
    )
    environment = read_environment({"TICKFLEET_ROOT": "/srv/fleet"})
    assert environment.at_fit_place() is environment


def test_it_needs_nothing_that_is_not_installed_yet() -> None:
    code = "import common.config.place, sys; assert not {'msgspec', 'tickfleet.errors'} & sys.modules.keys()"
    checkout = Path(__file__).resolve().parents[3]
    subprocess.run(["python3", "-c", code], cwd=checkout, env={**os.environ, "PYTHONPATH": ""}, check=True, timeout=30)


def test_a_folder_is_closed_to_others_and_what_its_owner_may_do_stays(tmp_path: Path) -> None:
    tmp_path.chmod(0o577)
    assert [close_to_others(tmp_path), close_to_others(tmp_path)] == [True, False]
    assert tmp_path.stat().st_mode & 0o777 == 0o500
