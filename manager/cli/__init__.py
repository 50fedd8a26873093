"""manager-cli: what an operator types.

In comes a line, out come lines or JSON and an exit code. Here is what more than one command needs; nothing that a
manager without a terminal needs may come in.
"""
