"""Frames as a bare reader counts them."""

from tests.bench.bare import whole_frames
from tests.bench.load.wire import frame


def test_whole_frames_of_all_lengths_are_taken() -> None:
    rest = frame(b"e" * 40)[:-1]
    data = bytearray(frame(b"a" * 20) + frame(b"b" * 300) + frame(b"c" * 70_000) + rest)
    assert (whole_frames(data), bytes(data)) == (3, rest)
