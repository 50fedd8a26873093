"""supervisord's protocol for event listeners (http://supervisord.org/events.html#event-listener-notification-protocol).

The listener says READY, supervisord sends one line of ``name:value`` pairs and as many bytes as ``len`` says, the
listener answers RESULT with the length of what follows. Standard output belongs to this protocol alone.
"""

from collections.abc import Callable, Mapping
from typing import BinaryIO

READY = b"READY\n"
RESULT_OK = b"RESULT 2\nOK"


def serve(events: BinaryIO, answers: BinaryIO, reactions: Mapping[bytes, Callable[[], None]]) -> None:
    """Answer each event, and call what belongs to its name; returns when supervisord has gone."""
    while True:
        try:
            answers.write(READY)
            answers.flush()
            head = events.readline()
            if not head.endswith(b"\n"):
                return
            fields = dict(pair.split(b":", 1) for pair in head.split())
            length = int(fields[b"len"])
            if len(events.read(length)) < length:
                return
            reaction = reactions.get(fields[b"eventname"])
            if reaction is not None:
                reaction()
            answers.write(RESULT_OK)
            answers.flush()
        except BrokenPipeError:
            return
