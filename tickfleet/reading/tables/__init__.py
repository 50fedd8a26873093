"""Entries as tables: columns, Arrow, Parquet, and files whose names say which entries they hold.

Inputs are decoded entries; outputs are tables and files. Code that reads from Redis does not belong here.
"""
