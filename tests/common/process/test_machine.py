import subprocess
import sys
from pathlib import Path

import pytest

from common.process import machine
from common.process.machine import machine_id


def test_all_processes_of_a_machine_agree_and_its_own_id_is_not_shown() -> None:
    program = "from common.process.machine import machine_id; print(machine_id())"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()
    assert (told, len(told), set(told) <= set("0123456789abcdef")) == (machine_id(), 16, True)
    for path in machine._FILES:
        if path.exists():
            assert told not in path.read_text(encoding="ascii")


def test_another_machine_of_the_same_image_is_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, processes = (tmp_path / "machine-id", tmp_path / "boot_id"), tmp_path / "pid"
    monkeypatch.setattr(machine, "_FILES", files)
    monkeypatch.setattr(machine, "_PROCESSES", str(processes))
    assert machine_id() == ""
    found = set[str]()
    for image, boot, namespace in (("a", "1", "x"), ("b", "1", "x"), ("a", "2", "x"), ("a", "1", "y")):
        for path, text in zip(files, (image, boot), strict=True):
            path.write_text(f"{text}\n", encoding="ascii")
        processes.unlink(missing_ok=True)
        processes.symlink_to(f"pid:[{namespace}]")
        found.add(machine_id())
    files[0].unlink()  # as in many containers
    found.add(machine_id())
    assert len(found) == 5
