from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickfleet.redis.protocol import NotRedisError, Refusal, Replies, Reply, pack_command

ANSWERS = b"+OK\r\n:2\r\n$-1\r\n*-1\r\n*0\r\n*2\r\n$1\r\na\r\n*1\r\n:-7\r\n$4\r\n\xff\r\nb\r\n"
AS_BYTES: list[Reply] = [b"OK", 2, None, None, [], [b"a", [-7]], b"\xff\r\nb"]
AS_TEXT: list[Reply] = ["OK", 2, None, None, [], ["a", [-7]], "\ufffd\r\nb"]


def test_commands_are_packed() -> None:
    assert pack_command(("SET", "k", 1, b"\xff", 1.5)) == (
        b"*5\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\n1\r\n$1\r\n\xff\r\n$3\r\n1.5\r\n"
    )


@pytest.mark.parametrize(("text", "replies"), [(False, AS_BYTES), (True, AS_TEXT)])
@given(cuts=st.lists(st.integers(0, len(ANSWERS)), max_size=6))
def test_replies_come_whole_wherever_the_bytes_are_cut(text: bool, replies: list[Reply], cuts: list[int]) -> None:
    parser = Replies(text=text)
    bounds = [0, *sorted(cuts), len(ANSWERS)]
    parts = [parser.feed(ANSWERS[start:end]) for start, end in pairwise(bounds)]
    assert [reply for part in parts for reply in part] == replies


def test_a_refusal_is_a_reply_with_its_code() -> None:
    replies = Replies().feed(b"-WRONGTYPE Operation\r\n*2\r\n-ERR no such key\r\n:1\r\n")
    alone, several = replies
    assert isinstance(alone, Refusal)
    assert (alone.code, str(alone)) == ("WRONGTYPE", "WRONGTYPE Operation")
    assert isinstance(several, list)
    assert [type(each) for each in several] == [Refusal, int]
    assert several[0].code == "ERR"


@pytest.mark.parametrize("garbage", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"$-7\r\n", b"*1\r\n!\r\n"])
def test_what_is_not_redis(garbage: bytes) -> None:
    with pytest.raises(NotRedisError):
        Replies().feed(garbage)
