"""The life of a process: event loop, logs, signals, exit.

The input is a coroutine to run; the output is an exit code. No code here knows markets or health.
"""
