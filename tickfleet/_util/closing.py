"""A context manager for objects that must be closed."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Closing(ABC):
    """``async with`` closes the object at the end of the block, also after an error."""

    @abstractmethod
    async def close(self) -> None:
        """Release the resources."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
