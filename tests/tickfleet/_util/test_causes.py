import errno
import socket
import ssl
from itertools import pairwise

import pytest
import redis

from tickfleet._util.causes import cause_of, known_codes
from tickfleet.errors import RedisUnreachableError


def certificate(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "hunter2")
    error.verify_code = code
    return error


def tls(reason: object) -> ssl.SSLError:
    error = ssl.SSLError(1, "hunter2")
    error.reason = reason  # type: ignore[assignment]
    return error


CAUSES = {
    "certificate of long ago": (certificate(10), "its certificate has expired (SSLCertVerificationError, code 10)"),
    "certificate of another": (
        certificate(62), "its certificate is for another host (SSLCertVerificationError, code 62)"
    ),
    "certificate that is odd": (certificate(99), "its certificate is not accepted (SSLCertVerificationError, code 99)"),
    "TLS that ends": (
        ssl.SSLEOFError(8, "hunter2"), "it broke off the connection (SSLEOFError)"
    ),
    "no socket": (
        FileNotFoundError(errno.ENOENT, "x"), "there is no socket of that name (FileNotFoundError, ENOENT)"
    ),
    "no TLS": (tls("WRONG_VERSION_NUMBER"), "it does not agree on TLS (SSLError, WRONG_VERSION_NUMBER)"),
    "TLS without a reason": (tls(None), "it does not agree on TLS (SSLError)"),
    "TLS with a foreign reason": (tls("hunter2 is my password"), "it does not agree on TLS (SSLError)"),
    "no such name": (
        socket.gaierror(socket.EAI_NONAME, "hunter2"), "its name cannot be resolved (gaierror, EAI_NONAME)"
    ),
    "no resolver": (
        socket.gaierror(socket.EAI_AGAIN, "x"),
        "its name cannot be resolved: the name server does not answer (gaierror, EAI_AGAIN)",
    ),
    "refused": (
        ConnectionRefusedError(errno.ECONNREFUSED, "x"),
        "it refuses the connection (ConnectionRefusedError, ECONNREFUSED)",
    ),
    "reset": (
        ConnectionResetError(errno.ECONNRESET, "x"), "it broke off the connection (ConnectionResetError, ECONNRESET)"
    ),
    "reset without a number": (ConnectionResetError(), "it broke off the connection (ConnectionResetError)"),
    "end": (EOFError(), "it broke off the connection (EOFError)"),
    "time": (TimeoutError(), "no answer in time (TimeoutError)"),
    "time of the system": (TimeoutError(errno.ETIMEDOUT, "x"), "no answer in time (TimeoutError, ETIMEDOUT)"),
    "no more files": (
        OSError(errno.EMFILE, "x"),
        "this process may open no more files or sockets (its limit of file descriptors) (OSError, EMFILE)",
    ),
    "no way": (OSError(errno.ENETUNREACH, "x"), "this machine has no way to it (OSError, ENETUNREACH)"),
    "a firewall": (
        PermissionError(errno.EPERM, "x"),
        "this machine does not allow it, as its firewall may (PermissionError, EPERM)",
    ),
    "something else": (OSError(errno.EIO, "x"), "the network failed (OSError, EIO)"),
    "no host": (UnicodeError("x"), "that cannot be the name of a host (UnicodeError)"),
    "ours": (RuntimeError("hunter2"), "it does not sing (RuntimeError)"),
}  # fmt: skip


@pytest.mark.parametrize(("error", "says"), CAUSES.values(), ids=CAUSES)
def test_each_cause_is_told_apart_and_nothing_foreign_is_repeated(error: BaseException, says: str) -> None:
    assert cause_of(error, "it does not sing") == says


def chained(*errors: Exception) -> Exception:
    """The last one, raised from the one before it, and so on."""
    for cause, error in pairwise(errors):
        error.__cause__ = cause
    return errors[-1]


AWAY = RedisUnreachableError("Redis at h:1 cannot be reached")


@pytest.mark.parametrize(
    ("error", "codes"),
    [
        (chained(ConnectionRefusedError(errno.ECONNREFUSED, "hunter2"), AWAY), "ConnectionRefusedError, ECONNREFUSED"),
        (
            chained(OSError(errno.EMFILE, "x"), redis.ConnectionError("hunter2"), RedisUnreachableError("away")),
            "OSError, EMFILE",
        ),
        (chained(redis.ResponseError("NOPERM hunter2"), RedisUnreachableError("refused")), "RedisUnreachableError"),
        (RedisUnreachableError("alone"), "RedisUnreachableError"),
        (chained(KeyError("x"), RedisUnreachableError("away")), ""),
        (chained(OSError(errno.EMFILE, "x"), KeyError("x")), ""),
        (ExceptionGroup("both", [OSError(), OSError()]), ""),
    ],
)
def test_where_the_cause_is_known_its_codes_say_it_all(error: Exception, codes: str) -> None:
    assert known_codes(error) == codes


def test_what_was_raised_while_another_was_dealt_with_has_that_behind_it() -> None:
    error = ConnectionResetError(errno.ECONNRESET, "x")
    error.__context__ = KeyError("a mistake of ours")
    assert known_codes(error) == ""
    error.__suppress_context__ = True
    assert known_codes(error) == "ConnectionResetError, ECONNRESET"
