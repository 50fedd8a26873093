"""Splits the address of Redis before any connection into the part that may be shown and the secret.

Errors that redis-py would ignore (a database that is not a number) or meet only later (an unknown option) are errors
here. No message repeats a part of the address: if a password has an unescaped character, any part may be secret.
"""

from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

from msgspec import Struct

from tickfleet._util.unix_socket import SOCKET_PATH_MAX_BYTES
from tickfleet.contract.suggestions import did_you_mean, listed
from tickfleet.errors import InvalidConfigurationError

Host = tuple[str, int]
"""Name or address, and port."""


class AddressKind(Enum):
    """What kind of server an address leads to."""

    SERVER = ""
    SENTINEL = "sentinel"
    """Redis Sentinels, which know where the master of a service is
    (https://redis.io/docs/latest/develop/reference/sentinel-clients/)."""

    CLUSTER = "cluster"
    """Some nodes of a Redis Cluster, each of which knows the others
    (https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/)."""


_DEFAULT_PORTS = {AddressKind.SERVER: 6379, AddressKind.SENTINEL: 26379, AddressKind.CLUSTER: 6379}
_TLS_OPTIONS = {"ssl_ca_certs", "ssl_cert_reqs", "ssl_certfile", "ssl_check_hostname", "ssl_keyfile"}
TLS_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
"""Options that name a file."""

_OPTIONS = {
    "redis": {"db"},
    "rediss": {"db", *_TLS_OPTIONS},
    "unix": {"db"},
    "redis+sentinel": {"db", "sentinel_auth"},
    "rediss+sentinel": {"db", "sentinel_auth", *_TLS_OPTIONS},
    "redis+cluster": set(),
    "rediss+cluster": _TLS_OPTIONS,
}
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_YES_NO = ("no", "yes")
_FALSE = frozenset({"0", "f", "false", "n", "no"})
_CERTIFICATE_RULES = ("none", "optional", "required")
_ESCAPES = "(in a user or password write / ? # @ % as %2F %3F %23 %40 %25)"


def split_secret(url: str, name: str, folder: Path | None = None) -> tuple[str, str | None]:
    """The address without its password, in one normal form, and the password, or None if there is none.

    Every address goes through here once; no other code parses its text (see ``read_address``).

    Args:
        url: ``redis[s]://[user[:password]@]host[:port][/db]``, ``unix://[user[:password]@]/path[?db=n]``,
            ``redis[s]+sentinel://[user[:password]@]host[:port],…/service[/db]`` or
            ``redis[s]+cluster://[user[:password]@]host[:port],…``.
        name: What messages call it.
        folder: The folder for relative paths in it; None: the current folder.

    Raises:
        InvalidConfigurationError: It is not an address of Redis.
    """
    parts = _split(url, name)
    _check_place(parts, name)
    _check_options(parts, name)
    user = f"{parts.username}@" if parts.username else ""
    query = parts.query if folder is None else _with_files_in(folder, parts.query)
    plain = f"{parts.scheme}://{user}{_host(parts)}{parts.path}{'?' if query else ''}{query}"
    return plain, unquote(parts.password) if parts.password else None


def _with_files_in(folder: Path, query: str) -> str:
    options = parse_qsl(query)
    if not any(name in TLS_FILES for name, _ in options):
        return query
    return urlencode(
        [(name, str((folder / value).absolute()) if name in TLS_FILES else value) for name, value in options]
    )


class Address(Struct, frozen=True):
    """The parts of an address that ``split_secret`` has checked.

    Attributes:
        hosts: A server, some Sentinels or some nodes of a Cluster; none for a unix socket.
        path: Of a unix socket; empty for hosts.
        service: The name of our servers at the Sentinels.
        login_at_sentinels: Whether the Sentinels ask for the user and password, too.
        tls: Its options as they stand in the address; None without TLS.
    """

    kind: AddressKind
    hosts: tuple[Host, ...]
    path: str
    user: str
    database: int
    service: str
    login_at_sentinels: bool
    tls: Mapping[str, str] | None

    @property
    def is_local(self) -> bool:
        """Whether the server is certainly on this machine; False for Sentinels and a Cluster."""
        return self.kind is AddressKind.SERVER and all(host in _LOOPBACK for host, _ in self.hosts)

    @property
    def checks_names(self) -> bool:
        """With TLS, whether a server must prove that it is the requested host."""
        return (self.tls or {}).get("ssl_check_hostname", "").lower() not in _FALSE

    @property
    def shown(self) -> str:
        """The address for messages: no user, no password."""
        hosts = self.path or ",".join(
            f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts
        )
        return f"{hosts}/{self.service}" if self.service else hosts


def read_address(url: str) -> Address:
    """The parts of an address without a password."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    kind = _kind(parts)
    unix = parts.scheme == "unix"
    service, database = _in_path(parts) if kind is AddressKind.SENTINEL else ("", "" if unix else parts.path.strip("/"))
    return Address(
        kind=kind,
        hosts=() if unix else _hosts(parts),
        path=unquote(parts.path) if unix else "",
        user=unquote(parts.username or ""),
        database=int(options.get("db") or database or 0),
        service=service,
        login_at_sentinels=options.get("sentinel_auth") == "yes",
        tls=options if parts.scheme.startswith("rediss") else None,
    )


def _kind(parts: SplitResult) -> AddressKind:
    return AddressKind(parts.scheme.partition("+")[2])


def _hosts(parts: SplitResult) -> tuple[Host, ...]:
    """The hosts; raises ``ValueError`` if one is not a valid host."""
    kind = _kind(parts)
    found = [urlsplit(f"//{text}") for text in _host(parts).split(",")]
    if kind is not AddressKind.SERVER and not all(each.hostname for each in found):
        raise ValueError("no host")
    return tuple(
        (each.hostname or "127.0.0.1", _DEFAULT_PORTS[kind] if each.port is None else each.port) for each in found
    )


def _in_path(parts: SplitResult) -> tuple[str, str]:
    """From an address of Sentinels: the service, and the database number as it is written there."""
    service, _, database = parts.path[1:].partition("/")
    return unquote(service), database


def _split(url: str, name: str) -> SplitResult:
    url = url.strip()
    if not url.isprintable():  # a tab or a line's end within would be passed over in silence
        raise InvalidConfigurationError(f"{name} holds a control character {_ESCAPES}")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise InvalidConfigurationError(f"{name} is not an address {_ESCAPES}") from None  # its text holds the URL
    if parts.scheme not in _OPTIONS:
        raise InvalidConfigurationError(
            f"{name} must begin with redis://, rediss:// or unix://, or redis+sentinel:// or redis+cluster://"
            f"{_beginning_meant(url)}"
        )
    return parts


def _beginning_meant(url: str) -> str:
    """How the address should begin; only the part before ``://`` is checked, and it is never repeated."""
    scheme, mark, _ = url.partition("://")
    if not mark:
        return _NO_SCHEME if url else ""
    return did_you_mean(f"{scheme.lower()}://", [f"{each}://" for each in _OPTIONS])


_NO_SCHEME = "; did you mean redis:// before it?"


def _check_place(parts: SplitResult, name: str) -> None:
    if parts.scheme == "unix":
        if _host(parts) or len(parts.path) < 2:
            raise InvalidConfigurationError(f"{name}: a unix socket is written unix:///path/to/socket {_ESCAPES}")
        if len(unquote(parts.path).encode()) > SOCKET_PATH_MAX_BYTES:
            raise InvalidConfigurationError(
                f"{name}: the path of a unix socket has at most {SOCKET_PATH_MAX_BYTES} bytes: take a shorter one"
            )
        return
    kind = _kind(parts)
    if any(letter.isspace() for letter in _host(parts)):
        raise InvalidConfigurationError(f"{name}: there is a space in the name of a host {_ESCAPES}")
    if kind is not AddressKind.SERVER and ("@" in _who(parts) or "," in _who(parts)):
        raise InvalidConfigurationError(
            f"{name}: user and password stand once, before the first host (and in them @ is written %40, a comma %2C)"
        )
    if kind is AddressKind.SERVER and "," in _host(parts):
        raise InvalidConfigurationError(
            f"{name}: several hosts are Sentinels (redis+sentinel://) or nodes of a Cluster (redis+cluster://)"
            f" {_ESCAPES}"
        )
    try:
        ports = [port for _, port in _hosts(parts)]
    except ValueError:  # its text holds what is there
        ports = [0]
    if 0 in ports:
        each = "" if kind is AddressKind.SERVER else " of a host, or a host is missing"
        raise InvalidConfigurationError(f"{name}: the port is not a number from 1 to 65535{each} {_ESCAPES}")
    _PATHS[kind](parts, name)


def _check_database(parts: SplitResult, name: str) -> None:
    if parts.path not in ("", "/") and not _is_number(parts.path[1:]):
        raise InvalidConfigurationError(f"{name}: behind the host only the number of a database may stand {_ESCAPES}")


def _check_service(parts: SplitResult, name: str) -> None:
    service, database = _in_path(parts)
    if not service or (database and not _is_number(database)):
        raise InvalidConfigurationError(
            f"{name}: behind the Sentinels is the name of their service, and after it perhaps the number of a"
            f" database: /mymaster/0 {_ESCAPES}"
        )


def _check_cluster(parts: SplitResult, name: str) -> None:
    if parts.path not in ("", "/", "/0"):
        raise InvalidConfigurationError(f"{name}: a Cluster has no databases, so nothing is behind its nodes")


_PATHS = {
    AddressKind.SERVER: _check_database,
    AddressKind.SENTINEL: _check_service,
    AddressKind.CLUSTER: _check_cluster,
}


def _check_options(parts: SplitResult, name: str) -> None:
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if parts.fragment or not options.keys() <= _OPTIONS[parts.scheme]:
        known = sorted(_OPTIONS[parts.scheme])
        meant = next(filter(None, (did_you_mean(each, known) for each in options if each not in known)), "")
        raise InvalidConfigurationError(f"{name}: an unknown option{meant} ({listed(known)}) {_ESCAPES}")
    if "db" in options and not _is_number(options["db"]):
        raise InvalidConfigurationError(f"{name}: the option db must be a number")
    if options.get("sentinel_auth", "no") not in _YES_NO:
        raise InvalidConfigurationError(f"{name}: sentinel_auth must be one of: {', '.join(_YES_NO)}")
    if options.get("ssl_cert_reqs", "required") not in _CERTIFICATE_RULES:
        raise InvalidConfigurationError(f"{name}: ssl_cert_reqs must be one of: {', '.join(_CERTIFICATE_RULES)}")


def _host(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[2]


def _who(parts: SplitResult) -> str:
    """User and password as they are written in the address."""
    return parts.netloc.rpartition("@")[0]


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 5
