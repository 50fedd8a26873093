"""Picks the most important of the errors that ended a group of tasks."""

from tickfleet.errors import FleetError, Recovery


def worst_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The most important error of a group: first a bug, then an error of ours that ends the process."""
    return min(_leaves(group), key=_mildness)


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    leaves: list[BaseException] = []
    for error in group.exceptions:
        leaves += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return leaves


def _mildness(error: BaseException) -> int:
    if not isinstance(error, FleetError):
        return 0
    return 1 if error.recovery is Recovery.EXIT else 2
