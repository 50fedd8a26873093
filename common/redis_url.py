"""The address of Redis, taken apart before anybody connects: what may be shown of it, and the secret that may not.

What redis-py would pass over in silence (a database that is no number) or stumble on later (an unknown option) is an
error here. No message repeats a part of the address: with an unescaped character in a password any part may be secret.
"""

from collections.abc import Mapping
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from msgspec import Struct

from common.errors import InvalidConfigurationError

_TLS_OPTIONS = {"ssl_ca_certs", "ssl_cert_reqs", "ssl_certfile", "ssl_check_hostname", "ssl_keyfile"}
_OPTIONS = {"redis": {"db"}, "rediss": {"db", *_TLS_OPTIONS}, "unix": {"db"}}
_CERTIFICATE_RULES = ("none", "optional", "required")
_ESCAPES = "(in a user or password write / ? # @ % as %2F %3F %23 %40 %25)"


def split_secret(url: str, name: str) -> tuple[str, str | None]:
    """The address without its password, and the password, or None where it holds none.

    Args:
        url: ``redis[s]://[user[:password]@]host[:port][/db]`` or ``unix://[user[:password]@]/path[?db=n]``.
        name: What messages call it.

    Raises:
        InvalidConfigurationError: It is not an address of Redis.
    """
    parts = _split(url, name)
    _check_place(parts, name)
    _check_options(parts, name)
    if not parts.password:
        return url, None
    user = f"{parts.username}@" if parts.username else ""
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{user}{_host(parts)}{parts.path}{query}", unquote(parts.password)


class Address(Struct, frozen=True):
    """Where Redis is, of an address that ``split_secret`` has let pass.

    Attributes:
        path: Of a unix socket; empty for a host.
        tls: Its options as they stand in the address; None without TLS.
    """

    host: str
    port: int
    path: str
    user: str
    database: int
    tls: Mapping[str, str] | None

    @property
    def shown(self) -> str:
        """For messages: no user, no password."""
        return self.path or f"{self.host}:{self.port}"


def read_address(url: str) -> Address:
    """The parts of an address without a password."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    unix = parts.scheme == "unix"
    in_path = "" if unix else parts.path.strip("/")
    return Address(
        host=parts.hostname or "127.0.0.1",
        port=parts.port or 6379,
        path=unquote(parts.path) if unix else "",
        user=unquote(parts.username or ""),
        database=int(options.get("db") or in_path or 0),
        tls=options if parts.scheme == "rediss" else None,
    )


def _split(url: str, name: str) -> SplitResult:
    try:
        parts = urlsplit(url)
    except ValueError:
        raise InvalidConfigurationError(f"{name} is not an address {_ESCAPES}") from None  # its text holds the URL
    if parts.scheme not in _OPTIONS:
        raise InvalidConfigurationError(f"{name} must begin with redis://, rediss:// or unix://")
    return parts


def _check_place(parts: SplitResult, name: str) -> None:
    try:
        port = parts.port
    except ValueError:  # its text holds what stands there
        raise InvalidConfigurationError(f"{name}: the port is not a number from 1 to 65535 {_ESCAPES}") from None
    if port == 0:
        raise InvalidConfigurationError(f"{name}: the port is not a number from 1 to 65535 {_ESCAPES}")
    if parts.scheme == "unix":
        if _host(parts) or len(parts.path) < 2:
            raise InvalidConfigurationError(f"{name}: a unix socket is written unix:///path/to/socket {_ESCAPES}")
    elif parts.path not in ("", "/") and not _is_number(parts.path[1:]):
        raise InvalidConfigurationError(f"{name}: behind the host only the number of a database may stand {_ESCAPES}")


def _check_options(parts: SplitResult, name: str) -> None:
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if parts.fragment or not options.keys() <= _OPTIONS[parts.scheme]:
        known = ", ".join(sorted(_OPTIONS[parts.scheme]))
        raise InvalidConfigurationError(f"{name}: an unknown option (known: {known}) {_ESCAPES}")
    if "db" in options and not _is_number(options["db"]):
        raise InvalidConfigurationError(f"{name}: the option db must be a number")
    if options.get("ssl_cert_reqs", "required") not in _CERTIFICATE_RULES:
        raise InvalidConfigurationError(f"{name}: ssl_cert_reqs must be one of: {', '.join(_CERTIFICATE_RULES)}")


def _host(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[2]


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 5
