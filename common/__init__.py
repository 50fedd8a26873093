"""Code that only the two processes share: configuration, administration of Redis, the life of a process.

Code that readers of the streams need belongs into ``tickfleet``.
"""
