"""From events to Redis: buffer, transactions, ids, refused entries, waiting entries.

Inputs are packed entries; outputs are transactions, in order, none lost or doubled. No code here knows what is missing
on the exchange's side.
"""
