"""What is in Redis: events, keys, health and coverage, and the names of collectors and data types.

This package turns the fields of an entry into a typed value and back. Code that does I/O, or knows how to reach Redis,
does not belong here.
"""
