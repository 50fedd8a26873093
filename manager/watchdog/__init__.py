"""Watches the manager: an event listener of supervisord that kills a manager whose loop hangs.

Input: supervisord's ticks and the manager's sign of life, which is a file. Output: at most one kill. It uses neither
Redis nor other code of the project, so that it does not fail with them.
"""
