"""The version of the programs; the version of the stream contract is in ``tickfleet.contract.keys``."""

VERSION = "0.1.0"
"""Read by the build, too. A constant: asking the installation for it would load 1.5 MiB of code into every process."""
