"""Why a connection failed, in our own words, with the error's class and code to search for.

The text of a foreign exception may hold anything, so it never goes into a heartbeat or an alert. The traceback in the
log has it, if the cause is not known or the log level is debug.
"""

import errno
import re
import socket
import ssl

from tickfleet.errors import FleetError

_CERTIFICATE = {
    9: "its certificate is not valid yet, by this machine's clock",
    10: "its certificate has expired",
    18: "its certificate is signed by itself",
    19: "its certificate comes from an authority that this machine does not trust",
    20: "its certificate comes from an authority that this machine does not trust",
    21: "its certificate comes from an authority that this machine does not trust",
    23: "its certificate is revoked",
    62: "its certificate is for another host",
    64: "its certificate is for another host",
}
"""By OpenSSL's code (https://docs.openssl.org/3.0/man3/X509_STORE_CTX_get_error/)."""

_BY_NUMBER = {
    errno.ENOENT: "there is no socket of that name",
    errno.EMFILE: "this process may open no more files or sockets (its limit of file descriptors)",
    errno.ENFILE: "this machine may open no more files or sockets",
    errno.ENETUNREACH: "this machine has no way to it",
    errno.EHOSTUNREACH: "this machine has no way to it",
    errno.EADDRNOTAVAIL: "this machine has no address or port left to reach it from",
    errno.EACCES: "this machine does not allow it, as its firewall may",
    errno.EPERM: "this machine does not allow it, as its firewall may",
}

_BY_CLASS: tuple[tuple[type[BaseException], str], ...] = (
    (ssl.SSLEOFError, "it broke off the connection"),
    (ssl.SSLError, "it does not agree on TLS"),
    (socket.gaierror, "its name cannot be resolved"),
    (ConnectionRefusedError, "it refuses the connection"),
    (ConnectionError, "it broke off the connection"),
    (EOFError, "it broke off the connection"),
    (TimeoutError, "no answer in time"),
    (UnicodeError, "that cannot be the name of a host"),
    (OSError, "the network failed"),
)

_KNOWN = (FleetError, OSError, EOFError)
_REDIS = "redis.exceptions"
"""Its errors of the connection wrap those of the network, and its refusals are told by their code."""

_RESOLVER_IS_AWAY = "its name cannot be resolved: the name server does not answer"
_REASON = re.compile(r"[A-Z0-9_]{1,60}\Z")


def cause_of(error: BaseException, otherwise: str = "it failed") -> str:
    """The cause, e.g. ``it refuses the connection (ConnectionRefusedError, ECONNREFUSED)``.

    Args:
        error: What was raised.
        otherwise: What to say of errors that are neither of the network nor of TLS.
    """
    codes = [type(error).__name__, *_codes(error)]
    return f"{_describe(error, otherwise)} ({', '.join(codes)})"


def root_of(error: BaseException) -> BaseException:
    """The network, TLS or file error that caused an error; the error itself if there is none."""
    return next((each for each in reversed(_chain(error)) if isinstance(each, (OSError, EOFError))), error)


def known_codes(error: BaseException) -> str:
    """Class and code of the network, TLS or file error that caused an error; empty if there is none.

    A traceback would tell no more. E.g. ``ConnectionRefusedError, ECONNREFUSED``; for an error of ours only its class.
    """
    if not all(isinstance(each, _KNOWN) or type(each).__module__ == _REDIS for each in _chain(error)):
        return ""
    root = root_of(error)
    return ", ".join([type(root).__name__, *_codes(root)])


def _chain(error: BaseException) -> list[BaseException]:
    """An error and the errors that it was raised from."""
    chain = [error]
    while (
        cause := chain[-1].__cause__ or (None if chain[-1].__suppress_context__ else chain[-1].__context__)
    ) is not None:
        chain.append(cause)
    return chain


def _describe(error: BaseException, otherwise: str) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _CERTIFICATE.get(error.verify_code, "its certificate is not accepted")
    if isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN:
        return _RESOLVER_IS_AWAY
    by_number = "" if isinstance(error, (ssl.SSLError, socket.gaierror)) else _BY_NUMBER.get(_number(error), "")
    return by_number or next((text for kind, text in _BY_CLASS if isinstance(error, kind)), otherwise)


def _codes(error: BaseException) -> list[str]:
    if isinstance(error, ssl.SSLCertVerificationError):
        return [f"code {error.verify_code}"]
    if isinstance(error, ssl.SSLError):
        reason = getattr(error, "reason", None)  # what the event loop makes has none
        return [reason] if isinstance(reason, str) and _REASON.match(reason) else []
    if isinstance(error, socket.gaierror):
        names = [name for name in dir(socket) if name.startswith("EAI_") and getattr(socket, name) == error.errno]
        return names[:1]
    return [errno.errorcode[_number(error)]] if _number(error) in errno.errorcode else []


def _number(error: BaseException) -> int:
    return (error.errno or 0) if isinstance(error, OSError) else 0
