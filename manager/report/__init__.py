"""What the manager tells the world: status, heartbeat, metrics, alerts, figures.

In come judgements and entries of the journal, out come documents, pages and messages. Nothing that changes the fleet
may come in.
"""
