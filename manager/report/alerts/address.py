"""The address of the webhook for alerts: from the environment, or from a file that only its owner can read."""

from urllib.parse import urlsplit

from msgspec import Struct

from common.config.environment import Environment
from common.config.own_file import read_own
from tickfleet.errors import InvalidConfigurationError


class WebhookAddress(Struct, frozen=True):
    """Where to send to. Its text names the host alone."""

    host: str
    port: int
    tls: bool
    host_header: str
    target: str

    def __repr__(self) -> str:
        return f"Address({self.host!r})"


def parse_address(url: str) -> WebhookAddress:
    """The parts of a webhook's URL.

    Raises:
        InvalidConfigurationError: It is no such URL; the message does not contain it.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidConfigurationError("the address of the webhook for alerts is none (host or port)") from error
    plain = url.isascii() and url.isprintable() and " " not in url
    if parts.scheme not in ("http", "https") or not host or not plain or "@" in parts.netloc:
        raise InvalidConfigurationError("the address of the webhook for alerts is not http(s)://host/...")
    tls = parts.scheme == "https"
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return WebhookAddress(host, port or (443 if tls else 80), tls, parts.netloc, target)


def read_address(environment: Environment) -> WebhookAddress | None:
    """The address that the environment names; None where it names none.

    Raises:
        InvalidConfigurationError: What it names cannot be used.
    """
    if environment.alert_webhook is not None:
        return parse_address(environment.alert_webhook)
    path = environment.alert_webhook_file
    if path is None:
        return None
    try:
        text = read_own(path, secret=True)
    except InvalidConfigurationError as error:
        raise InvalidConfigurationError(f"TICKFLEET_ALERT_WEBHOOK_FILE: {error}") from error
    return parse_address(text.strip())
