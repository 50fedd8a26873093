"""What is in Redis: events, keys, health and coverage, and the words for who publishes what.

In come the fields of an entry, out comes a typed value, and the other way round. Nothing that does I/O or knows how
Redis is reached may come in.
"""
