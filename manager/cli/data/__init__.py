"""Commands that show or copy data: tail, coverage, export.

In come streams, out come lines and files. Nothing that changes the fleet may come in.
"""
