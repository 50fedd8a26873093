"""Optional libraries (extras), loaded at first use; if one is missing, a message says what to install."""

import importlib
from typing import Any

EXTRAS = {"pandas": "pandas", "polars": "polars", "pyarrow": "parquet"}
"""The extra that brings each."""


def load(library: str) -> Any:
    """One of ``EXTRAS``.

    Raises:
        ModuleNotFoundError: It is not installed; the message names the extra.
    """
    try:
        return importlib.import_module(library)
    except ModuleNotFoundError as error:
        if error.name != library:  # it is there, and lacks something itself
            raise
        hint = f"{library} is not installed; it comes with: pip install 'tickfleet[{EXTRAS[library]}]'"
        raise ModuleNotFoundError(hint, name=library) from None
