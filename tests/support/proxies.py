"""Proxies in the environment at which nobody listens: who uses them gets nowhere."""

import pytest

from tests.support.ports import free_port


def set_dead_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """For every protocol and every host."""
    for name in ("http", "https", "ws", "wss", "socks", "all"):
        monkeypatch.setenv(f"{name}_proxy", f"http://127.0.0.1:{free_port()}")
        monkeypatch.delenv(f"{name.upper()}_PROXY", raising=False)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
