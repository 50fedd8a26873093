import os
import socket
import threading
import xmlrpc.client
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace
from supervisor.options import VERSION
from supervisor.xmlrpc import Faults

from manager.model.processes import Process, ProcessState
from manager.supervisord.async_client import ThreadedSupervisor
from manager.supervisord.client import Fault, SupervisorClient, SupervisorEndingError, SupervisorRefusedError
from tests.manager.real import eventually, real_supervisord
from tickfleet.errors import SupervisorUnreachableError


def test_our_fault_numbers_are_supervisords() -> None:
    assert {fault.name: fault.value for fault in Fault} == {fault.name: getattr(Faults, fault.name) for fault in Fault}


def test_nobody_there(tmp_path: Path) -> None:
    path = tmp_path / "none.sock"
    with pytest.raises(SupervisorUnreachableError, match=f"^supervisord does not answer at {path}$"):
        SupervisorClient(path).processes()


def test_a_path_too_long_for_a_socket() -> None:
    with pytest.raises(SupervisorUnreachableError):
        SupervisorClient(Path("/" + "x" * 200)).processes()


def test_a_socket_that_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(socket.socket, "connect", refuse)
    with pytest.raises(SupervisorUnreachableError, match="may not be used by this user"):
        SupervisorClient(tmp_path / "s").processes()


def test_silence_ends_after_the_time_limit(short_folder: Path) -> None:
    path = short_folder / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        with pytest.raises(SupervisorUnreachableError, match=r"gave no answer within 0\.05 s"):
            SupervisorClient(path, timeout_s=0.05).processes()


@pytest.mark.parametrize("answer", [b"hello\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n<a>b", b""])
def test_somebody_else_answers(short_folder: Path, answer: bytes) -> None:
    with answering(short_folder / "s", answer), pytest.raises(SupervisorUnreachableError):
        SupervisorClient(short_folder / "s", timeout_s=2).processes()


@contextmanager
def answering(path: Path, answer: bytes) -> Iterator[None]:
    """A server that gives one answer, whatever it is asked."""

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            request = b""
            while b"</methodCall>" not in request:  # head and body may come apart
                request += connection.recv(65536)
            connection.sendall(answer)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        yield
        thread.join()


def test_a_supervisord_that_shuts_down_is_told_from_one_that_is_away(short_folder: Path) -> None:
    body = xmlrpc.client.dumps(xmlrpc.client.Fault(Faults.SHUTDOWN_STATE, "SHUTDOWN_STATE")).encode()
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    with answering(short_folder / "s", answer), pytest.raises(SupervisorEndingError, match="is shutting down"):
        SupervisorClient(short_folder / "s", timeout_s=2).processes()


@pytest.mark.system
def test_the_life_of_a_process_under_the_real_one(short_folder: Path) -> None:
    with real_supervisord(short_folder) as client:
        running = _wait_for(client, "bystander", ProcessState.RUNNING)
        alone, among_all = client.process("bystander"), client.processes()["bystander"]
        assert replace(alone, uptime_s=0) == replace(among_all, uptime_s=0)  # a second may begin between the two
        client.start("bystander")  # it runs already: fine
        client.kill("bystander", pid=1)  # not the one that runs: nothing happens
        assert client.process("bystander").pid == running.pid
        client.kill("bystander", running.pid)
        killed = _wait_for(client, "bystander", ProcessState.EXITED)
        assert (killed.pid, killed.uptime_s, killed.exit_status, killed.started_s) == (0, 0, -1, running.started_s)
        assert killed.stopped_s >= running.started_s > running.stopped_s
        client.start("bystander")
        assert _wait_for(client, "bystander", ProcessState.RUNNING).pid not in (0, running.pid)
        client.begin_stop("bystander")
        _wait_for(client, "bystander", ProcessState.STOPPED)
        client.begin_stop("bystander")  # it does not run: fine
        with pytest.raises(SupervisorRefusedError, match="supervisord does not know the program") as refused:
            client.start("nobody")
        assert refused.value.fault == Fault.BAD_NAME


@pytest.mark.system
def test_what_the_real_one_says_of_itself(short_folder: Path) -> None:
    with real_supervisord(short_folder) as client:
        version, pid = client.about()
        assert (version, pid > 1) == (VERSION, True)
        assert client.start_limits() == {"bystander": 0}


@pytest.mark.system
def test_groups_come_and_go_under_the_real_one(short_folder: Path) -> None:
    with real_supervisord(short_folder) as client:
        section = short_folder / "var" / "programs" / "extra.conf"
        section.write_text("[program:extra]\ncommand=/no/such/file\nautostart=false\n")
        assert client.reread().added == ("extra",)
        client.add("extra")
        client.add("extra")
        assert client.process("extra") == Process(program="extra", state=ProcessState.STOPPED)
        with pytest.raises(SupervisorRefusedError, match="the program's file does not exist"):
            client.start("extra")
        section.write_text("[program:extra]\ncommand=/no/such/other\nautostart=false\n")
        assert client.reread().changed == ("extra",)
        section.write_text("[program:extra]\nstartsecs=soon\n")
        with pytest.raises(SupervisorRefusedError, match="cannot use its configuration files"):
            client.reread()
        os.remove(section)
        assert client.reread().removed == ("extra",)
        client.remove("extra")
        client.remove("extra")
        assert list(client.processes()) == ["bystander"]


def _wait_for(client: SupervisorClient, program: str, state: ProcessState) -> Process:
    eventually(lambda: client.process(program).state is state)
    return client.process(program)


async def test_a_look_does_not_wait_as_long_as_an_action(tmp_path: Path) -> None:
    class Recorder(SupervisorClient):
        """Notes how long its looks may take."""

        def within(self, timeout_s: float) -> SupervisorClient:
            limits.append(timeout_s)
            return super().within(timeout_s)

    limits = list[float]()
    with ThreadedSupervisor(Recorder(tmp_path / "none.sock")) as supervisor, pytest.raises(SupervisorUnreachableError):
        await supervisor.processes()
    assert limits == [2.0]
