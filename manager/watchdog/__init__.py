"""Watches the manager: an event listener of supervisord that kills a manager whose loop stands still.

It is always there and does next to nothing, so it imports little: no library, and of ours only what is in this folder.
"""
