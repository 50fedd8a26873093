"""Watches the manager: an event listener of supervisord that kills a manager whose loop hangs.

In come supervisord's ticks and the manager's sign of life, a file; out goes at most one kill. Redis and all other code
of the project stay outside: their failure must not be the watcher's.
"""
