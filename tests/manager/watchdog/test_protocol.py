import io

import pytest

from manager.watchdog.protocol import serve

HEAD = b"ver:3.0 server:supervisor serial:21 pool:watchdog poolserial:10 eventname:%s len:%d\n"


def event(name: bytes, payload: bytes = b"when:1201063880") -> bytes:
    return HEAD % (name, len(payload)) + payload


def spoken(events: bytes) -> tuple[bytes, int]:
    """What is answered, and how often TICK_5 was reacted to."""
    ticks = list[None]()
    answers = io.BytesIO()
    serve(io.BytesIO(events), answers, {b"TICK_5": lambda: ticks.append(None)})
    return answers.getvalue(), len(ticks)


def test_each_event_is_answered_and_ticks_are_reacted_to() -> None:
    other = event(b"PROCESS_STATE_EXITED", b"processname:x groupname:x\nlen:5")
    assert spoken(event(b"TICK_5") + other + event(b"TICK_5")) == (b"READY\n" + b"RESULT 2\nOKREADY\n" * 3, 2)


@pytest.mark.parametrize("end", [b"", b"ver:3.0 eventname:TICK_5", event(b"TICK_5")[:-1]])
def test_it_ends_when_supervisord_does(end: bytes) -> None:
    assert spoken(event(b"TICK_5") + end) == (b"READY\nRESULT 2\nOKREADY\n", 1)


def test_it_ends_when_nobody_takes_its_answers() -> None:
    class Broken(io.BytesIO):
        def write(self, _: object) -> int:
            raise BrokenPipeError

    serve(io.BytesIO(event(b"TICK_5")), Broken(), {})
