"""Commands that show: status, why, events, logs.

In come heartbeats, journal and logs, out come tables and JSON. Nothing that changes anything may come in.
"""
