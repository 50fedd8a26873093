"""From events to Redis: buffer, transactions, ids, what is refused, what waits.

In come packed entries, out go transactions, in order, none lost or doubled. Nothing that knows what is missing on the
exchange's side may come in.
"""
