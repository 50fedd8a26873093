"""What ``manager-cli tail`` shows, and how.

In come entries, out come lines for a terminal or JSON. Nothing that reads Redis but the ledgers may come in.
"""
