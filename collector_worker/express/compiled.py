"""The compiled module, where it could be built."""

import importlib
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from collector_worker.express.native import Entrance, Lane, Outbox


class Compiled(Protocol):
    """What is in it; see ``native.pyi``."""

    Entrance: "type[Entrance]"
    Lane: "type[Lane]"
    Outbox: "type[Outbox]"


def compiled() -> Compiled | None:
    """The compiled module; None where there was no C compiler at the installation."""
    try:
        return cast("Compiled", importlib.import_module("collector_worker.express.native"))
    except ImportError:
        return None
