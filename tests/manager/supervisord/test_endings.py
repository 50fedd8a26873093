from msgspec.structs import replace

from manager.model.processes import Process, ProcessState
from manager.supervisord.endings import Endings, read_endings
from tickfleet.errors import SupervisorUnreachableError

LOG = """\
2026-11-30 09:00:00,001 WARN exited: other (terminated by SIGSEGV (core dumped); not expected)
2026-11-30 10:00:00,001 INFO supervisord started with pid 31347
2026-11-30 10:00:01,001 INFO spawned: 'collector-okx-A-USDT' with pid 5
2026-11-30 10:00:02,001 WARN exited: collector-okx-A-USDT (terminated by SIGKILL; not expected)
2026-11-30 10:00:03,001 WARN exited: collector-okx-B-USDT (exit status 1; not expected)
2026-11-30 10:00:04,001 INFO exited: collector-okx-B-USDT (exit status 78; expected)
2026-11-30 10:00:05,001 WARN stopped: collector-okx-C-USDT (terminated by SIGABRT (core dumped))
2026-11-30 10:00:06,001 WARN exited: collector-okx-D-USDT (terminated by signal 34; not expected)
"""
RUNS = Process(program="collector-okx-A-USDT", state=ProcessState.RUNNING, pid=7, started_s=100)
ENDED = replace(RUNS, state=ProcessState.EXITED, pid=0, exit_status=-1)


def test_the_last_ending_of_each_program_of_this_supervisord() -> None:
    assert read_endings(LOG) == {
        "collector-okx-A-USDT": "killed by SIGKILL",
        "collector-okx-B-USDT": "exit code 78",
        "collector-okx-C-USDT": "killed by SIGABRT",
        "collector-okx-D-USDT": "killed by signal 34",
    }
    assert read_endings("") == read_endings("exited: x (unknown termination cause 0x1)") == {}


def test_the_log_is_read_only_where_something_has_ended_or_begun() -> None:
    endings, reads = Endings(), list[str]()

    def ended_reason(process: Process, log: str = "") -> str:
        def read() -> str:
            reads.append(log)
            if log == "away":
                raise SupervisorUnreachableError("supervisord refused")
            return log

        return endings.told({process.program: process}, read)[process.program].ended

    assert [ended_reason(RUNS), ended_reason(RUNS), ended_reason(RUNS)] == ["", "", ""]
    assert len(reads) == 1
    assert [
        ended_reason(ENDED, "away"),
        ended_reason(ENDED, LOG),
        ended_reason(ENDED),
        ended_reason(replace(RUNS, started_s=101)),
    ] == [
        "",
        "killed by SIGKILL",
        "killed by SIGKILL",
        "killed by SIGKILL",
    ]
    assert reads == ["", "away", LOG, ""]
