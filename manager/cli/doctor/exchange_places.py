"""Pure: the addresses that collectors use, and addresses that could replace one of them."""

from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from common.config.collector import ExchangeCollectorConfig
from common.config.exchanges import PROFILES, Endpoints, ExchangeProfile

REST = "rest"
"""The one address that is no socket's."""


class Place(Struct, frozen=True, kw_only=True):
    """An address as a collector uses it.

    Attributes:
        field: Its name in the fleet file, ``ws_public``.
        probe: The path that is requested there: the socket's own path, or the path of the cheapest REST call.
        set_by_file: Whether the fleet file sets it, by itself or by a region: it is not the usual one by default.
    """

    exchange: str
    field: str
    url: str
    probe: str
    set_by_file: bool = False

    @property
    def shown(self) -> str:
        """The address without what may be a secret."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}{parts.path}"

    @property
    def tls(self) -> bool:
        """Whether it is spoken to by TLS."""
        return self.url.startswith(("https:", "wss:"))

    @property
    def port(self) -> int:
        """The port, also where the address does not say it."""
        return urlsplit(self.url).port or (443 if self.tls else 80)


class Other(Struct, frozen=True, kw_only=True):
    """An address of the exchange that could take the place of one.

    Attributes:
        place: What it is.
        setting: What has to stand in the exchange's table of the fleet file to lead there.
        known: When that address was looked at last, and where.
    """

    place: Place
    setting: str
    known: str


def places(collectors: Iterable[ExchangeCollectorConfig]) -> list[Place]:
    """Everything that the collectors connect to, each once."""
    found = dict[Place, None]()
    for config in collectors:
        for field in Endpoints.__struct_fields__:
            if url := getattr(config.address, field):
                place = _place(config.exchange, field, url)
                found[replace(place, set_by_file=bool(getattr(config.endpoints, field)))] = None
    return list(found)


def others(place: Place) -> list[Other]:
    """The exchange's other addresses, those of the same host first; none for a host of somebody else (a proxy)."""
    known = PROFILES[place.exchange]
    if not is_own(place):
        return []
    found = [other for other in _all(known, place) if other.place.url != place.url]
    return sorted(found, key=lambda other: _host(other.place.url) != _host(place.url))


def is_own(place: Place) -> bool:
    """Whether an address is in a domain of the exchange's."""
    return _domain(place.url) in {_domain(other.place.url) for other in _all(PROFILES[place.exchange], place)}


def default_address(place: Place) -> str:
    """The address that would be used if the fleet file said nothing."""
    url: str = getattr(PROFILES[place.exchange].endpoints, place.field)
    return url


def _all(known: ExchangeProfile, place: Place) -> Iterator[Other]:
    for name, region in known.regions.items():
        for endpoints in (region.endpoints, *region.spares):
            if not (url := getattr(endpoints, place.field)):
                continue
            whole = endpoints is region.endpoints and _host(url) != _host(place.url)
            yield Other(
                place=_place(place.exchange, place.field, url),
                setting=_region(known, place, name) if whole else f'{place.field} = "{url}"',
                known=f"as of {region.checked}: {region.source}",
            )


def _region(known: ExchangeProfile, place: Place, name: str) -> str:
    """The settings that lead from a place to a region: what the file itself names overrides any region."""
    if not place.set_by_file:
        return f'region = "{name}"'
    by_region = (getattr(region.endpoints, place.field) for region in known.regions.values())
    if place.url in by_region:  # maybe by its region, maybe it is spelt out
        return f'region = "{name}" and no {place.field}'
    return f'{place.field} = "{getattr(known.region(name).endpoints, place.field)}"'


def _place(exchange: str, field: str, url: str) -> Place:
    known = PROFILES[exchange]
    return Place(exchange=exchange, field=field, url=url, probe=known.time_path if field == REST else known.ws_path)


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def _domain(url: str) -> str:
    return ".".join(_host(url).split(".")[-2:])
