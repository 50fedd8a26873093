"""What is measured: a module each, with ``measure(site, plan)`` that gives a JSON object."""

from collections.abc import Callable
from importlib import import_module

from tests.bench.plan import Plan
from tests.bench.site import Site
from tests.bench.stats import Row

NAMES = ("burst", "steady", "limit", "peer", "latency", "start", "memory", "books", "adapter", "subscriber", "fleet")
"""In the order in which they are run."""


def scenario(name: str) -> Callable[[Site, Plan], Row]:
    """The measurement of this name."""
    measure: Callable[[Site, Plan], Row] = import_module(f"{__name__}.{name}").measure
    return measure
