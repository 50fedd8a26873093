"""manager-cli: what an operator types.

Input: a command line. Output: lines or JSON, and an exit code. This level holds what several commands share. Code that
the manager needs without a terminal does not belong here.
"""
