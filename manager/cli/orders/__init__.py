"""Commands that change which collectors run, and wait until they do.

In comes an order, out come its lines in Redis or calls to supervisord, and how it went. Nothing of the data may come
in.
"""
