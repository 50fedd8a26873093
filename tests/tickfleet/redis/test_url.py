from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio.connection import parse_url

from tickfleet.errors import InvalidConfigurationError
from tickfleet.redis.url import Address, AddressKind, read_address, split_secret

ESCAPES = "(in a user or password write / ? # @ % as %2F %3F %23 %40 %25)"


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1:6379/0",
        "redis://localhost",
        "redis://h/",
        "redis://[::1]:6379/3",
        "redis://user@h:1/0",
        "rediss://h/0?ssl_cert_reqs=none&ssl_ca_certs=/etc/ca.pem",
        "redis://h?db=2",
        "unix:///run/redis.sock",
        "unix:///run/redis.sock?db=3",
        "unix://user@/run/redis.sock",
        "redis+sentinel://a,b:5000,[::1]:5001/mymaster",
        "rediss+sentinel://user@a/my%2Fmaster/3?sentinel_auth=yes&ssl_cert_reqs=none",
        "redis+cluster://a,b:7001/",
        "rediss+cluster://a/0?ssl_ca_certs=/etc/ca.pem",
    ],
)
def test_an_address_without_a_secret_stays_as_it_is(url: str) -> None:
    assert split_secret(url, "url") == (url, None)


@pytest.mark.parametrize(
    ("url", "shown", "secret"),
    [
        ("redis://:pw@h:6379/0", "redis://h:6379/0", "pw"),
        ("redis://user:pw@h/1", "redis://user@h/1", "pw"),
        ("rediss://:pw@[::1]:7000/1?ssl_cert_reqs=none", "rediss://[::1]:7000/1?ssl_cert_reqs=none", "pw"),
        ("unix://:pw@/run/redis.sock?db=1", "unix:///run/redis.sock?db=1", "pw"),
        ("unix://user:pw@/run/redis.sock", "unix://user@/run/redis.sock", "pw"),
        ("redis://:p%40ss%2Fword@h/0", "redis://h/0", "p@ss/word"),
        ("redis://:p:w@h/0", "redis://h/0", "p:w"),
        ("redis://us%40er:pw@h/0", "redis://us%40er@h/0", "pw"),
        ("redis+sentinel://u:p%2Cw@a:1,b:2/m/1", "redis+sentinel://u@a:1,b:2/m/1", "p,w"),
        ("redis+cluster://:pw@a:1,b", "redis+cluster://a:1,b", "pw"),
    ],
)
def test_the_secret_is_taken_out(url: str, shown: str, secret: str) -> None:
    assert split_secret(url, "url") == (shown, secret)


@pytest.mark.parametrize(
    ("url", "plain"),
    [
        ("  redis://h:1/0\n", "redis://h:1/0"),
        ("REDIS://h:1/0", "redis://h:1/0"),
        ("Rediss+Sentinel://User@Host/MyMaster", "rediss+sentinel://User@Host/MyMaster"),
        ("\tUNIX:///Run/redis.sock?db=1 ", "unix:///Run/redis.sock?db=1"),
        ("redis://user:@h", "redis://user@h"),
    ],
)
def test_an_address_is_spelt_in_one_way(url: str, plain: str) -> None:
    assert split_secret(url, "url") == (plain, None)


@pytest.mark.parametrize("url", ["redis://h:1\t/0", "redis://:p\nw@h", "redis://h/0\x00?db=1"])
def test_a_character_that_would_be_passed_over_is_refused(url: str) -> None:
    with pytest.raises(InvalidConfigurationError) as caught:
        split_secret(url, "url")
    assert str(caught.value) == f"url holds a control character {ESCAPES}"


def test_files_that_an_address_names_are_beside_the_file_that_it_stands_in() -> None:
    url = "rediss://:pw@h/1?ssl_ca_certs=our+ca.pem&ssl_keyfile=/etc/key.pem&ssl_cert_reqs=required"
    plain, secret = split_secret(url, "url", Path("/srv/fleet"))

    assert secret == "pw"  # noqa: S105 - made up
    assert read_address(plain).tls == {
        "ssl_ca_certs": "/srv/fleet/our ca.pem",
        "ssl_keyfile": "/etc/key.pem",
        "ssl_cert_reqs": "required",
    }


def test_a_path_that_no_socket_can_have_is_refused() -> None:
    longest = "unix:///" + "x" * 106
    assert split_secret(longest, "url") == (longest, None)
    with pytest.raises(InvalidConfigurationError) as caught:
        split_secret(f"{longest}x", "url")
    assert str(caught.value) == "url: the path of a unix socket has at most 107 bytes: take a shorter one"


@given(st.text(min_size=1, max_size=12), st.sampled_from(["", "user"]), st.sampled_from(["h:1/2", "/run/x"]))
def test_every_password_can_be_written(password: str, user: str, place: str) -> None:
    scheme = "unix" if place.startswith("/") else "redis"
    try:
        url = f"{scheme}://{user}:{quote(password, safe='')}@{place}"
    except UnicodeEncodeError:  # a lone surrogate cannot be in an address
        return
    shown, secret = split_secret(url, "url")

    assert secret == password
    assert {**parse_url(shown), "password": secret} == parse_url(url)


BEGINNING = "url must begin with redis://, rediss:// or unix://, or redis+sentinel:// or redis+cluster://"
PORT = f"url: the port is not a number from 1 to 65535 {ESCAPES}"
DATABASE = f"url: behind the host only the number of a database may stand {ESCAPES}"
SOCKET = f"url: a unix socket is written unix:///path/to/socket {ESCAPES}"
OPTION = f"url: an unknown option (known: db) {ESCAPES}"
TLS = "db, ssl_ca_certs, ssl_cert_reqs, ssl_certfile, ssl_check_hostname, ssl_keyfile"

PORTS = f"url: the port is not a number from 1 to 65535 of a host, or a host is missing {ESCAPES}"
SEVERAL = f"url: several hosts are Sentinels (redis+sentinel://) or nodes of a Cluster (redis+cluster://) {ESCAPES}"
SERVICE = (
    "url: behind the Sentinels is the name of their service, and after it perhaps the number of a database:"
    f" /mymaster/0 {ESCAPES}"
)
SPACE = f"url: there is a space in the name of a host {ESCAPES}"
ONCE = "url: user and password stand once, before the first host (and in them @ is written %40, a comma %2C)"
NO_DATABASES = "url: a Cluster has no databases, so nothing is behind its nodes"

REFUSED = {
    "": BEGINNING,
    "127.0.0.1:6379": f"{BEGINNING}; did you mean redis:// before it?",
    "http://h": BEGINNING,
    "redis://[::1": f"url is not an address {ESCAPES}",
    "redis://h:0/0": PORT,
    "redis://h:65536/0": PORT,
    "redis://h:x/0": PORT,
    "redis://:hunter2/x@h/0": PORT,
    "redis://:12/hunter2@h/0": DATABASE,
    "redis://h/zero": DATABASE,
    "redis://h/0/1": DATABASE,
    "redis://h/-1": DATABASE,
    "redis://user:1?hunter2@h": OPTION,
    "redis://user:1#hunter2@h": OPTION,
    "redis://h?password=hunter2": OPTION,
    "redis://h?max_connections=3": OPTION,
    "redis://h?ssl_cert_reqs=none": OPTION,
    "rediss://h?ssl_ca=x": f"url: an unknown option; did you mean 'ssl_ca_certs'? (known: {TLS}) {ESCAPES}",
    "rediss://h?db=1&hunter2=x": f"url: an unknown option (known: {TLS}) {ESCAPES}",
    "redist://h": f"{BEGINNING}; did you mean 'redis://'?",
    "rediss://h?nonsense=1": f"url: an unknown option (known: {TLS}) {ESCAPES}",
    "rediss://h?ssl_cert_reqs=maybe": "url: ssl_cert_reqs must be one of: none, optional, required",
    "redis://h?db=one": "url: the option db must be a number",
    "unix://run/redis.sock": SOCKET,
    "unix://": SOCKET,
    "unix:///": SOCKET,
    "redis://a,b:1/0": SEVERAL,
    "redis+unix://a": BEGINNING,
    "redis://h 1/0": SPACE,
    "redis+cluster://a, b": SPACE,
    "redis+cluster://a,u:hunter2@b": ONCE,
    "redis+sentinel://u:hunter2@a,u:hunter2@b/m": ONCE,
    "redis+sentinel://u:hun,ter2@a/m": ONCE,
    "redis+sentinel://a:1,b:0/m": PORTS,
    "redis+sentinel://a:1,,b/m": PORTS,
    "redis+sentinel://:hunter2@/m": PORTS,
    "redis+sentinel://a:x/m": PORTS,
    "redis+sentinel://a:1,[b/m": f"url is not an address {ESCAPES}",
    "redis+sentinel://a": SERVICE,
    "redis+sentinel:///m": PORTS,
    "redis+sentinel://a/m/zero": SERVICE,
    "redis+sentinel://a/m/0/1": SERVICE,
    "redis+sentinel://a/m?sentinel_auth=hunter2": "url: sentinel_auth must be one of: no, yes",
    "redis+cluster://a,b/1": NO_DATABASES,
    "redis+cluster://a?db=0": f"url: an unknown option (known: none) {ESCAPES}",
    "redis+cluster://a,b:65536": PORTS,
}


READ = {
    "redis://user@h": Address(
        *(AddressKind.SERVER, (("h", 6379),), "", "user", 0, ""), login_at_sentinels=False, tls=None
    ),
    "unix:///run/x?db=3": Address(*(AddressKind.SERVER, (), "/run/x", "", 3, ""), login_at_sentinels=False, tls=None),
    "rediss+sentinel://a,[::1]:5/my%2Fm/2?sentinel_auth=yes": Address(
        *(AddressKind.SENTINEL, (("a", 26379), ("::1", 5)), "", "", 2, "my/m"),
        login_at_sentinels=True,
        tls={"sentinel_auth": "yes"},
    ),
    "redis+cluster://us%40er@a,b:7001/0": Address(
        *(AddressKind.CLUSTER, (("a", 6379), ("b", 7001)), "", "us@er", 0, ""), login_at_sentinels=False, tls=None
    ),
}


@pytest.mark.parametrize(("url", "address"), READ.items(), ids=READ)
def test_an_address_is_taken_apart(url: str, address: Address) -> None:
    assert read_address(url) == address


def test_what_is_shown_of_an_address_is_where_it_leads() -> None:
    assert [read_address(url).shown for url in READ] == ["h:6379", "/run/x", "a:26379,[::1]:5/my/m", "a:6379,b:7001"]


@pytest.mark.parametrize(("url", "message"), REFUSED.items(), ids=REFUSED)
def test_what_is_no_address_is_refused_without_repeating_it(url: str, message: str) -> None:
    with pytest.raises(InvalidConfigurationError) as caught:
        split_secret(url, "url")
    assert str(caught.value) == message
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@given(st.text(), st.sampled_from(["redis://", "unix://", "rediss://h?", ""]))
def test_any_text_is_an_address_or_refused(text: str, beginning: str) -> None:
    try:
        shown, _ = split_secret(beginning + text, "url")
    except InvalidConfigurationError:
        return
    parse_url(shown)
