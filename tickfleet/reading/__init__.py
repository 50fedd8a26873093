"""The readers: subscriber, groups, live book, coverage, and what they hand out.

In comes what is in the streams, out come typed entries, each once and in order, with what is missing in its place.
Nothing that only a collector or the manager needs may come in.
"""
