"""The manager: judges the health of the fleet by its heartbeats and heals it through supervisord.

Input: heartbeats and processes. Output: actions and a journal. This level holds only the entry point, the settings, the
code that builds the manager, and the loop that runs all packages once a second.
"""
