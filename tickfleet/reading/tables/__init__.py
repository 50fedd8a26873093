"""Entries as tables: columns, Arrow, Parquet, and files whose names say which entries they hold.

In come decoded entries, out come tables and files. Nothing that reads from Redis may come in.
"""
