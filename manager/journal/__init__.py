"""What happened, written down and remembered.

In come changes and incidents, out come entries of the journal and the history after a restart. Nothing that decides may
come in.
"""
