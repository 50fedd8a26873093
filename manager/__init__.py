"""The manager: judges the health of the fleet by its heartbeats and heals it through supervisord.

In come heartbeats and processes, out go actions and a journal. Here are only the entry, the settings, the building
and the loop that goes through the rooms once a second.
"""
