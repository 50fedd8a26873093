"""What may pass into the streams: each item once, in order, or a gap in its place.

In come events of adapters and the answers of REST, out go events to the publisher and statements to the ledger. No
socket may come in; time is handed in.
"""
