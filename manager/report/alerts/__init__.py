"""Tells a person, through a webhook, what the manager cannot mend by itself.

In come entries of the journal, out goes a message at most once per cause. Nothing that changes the fleet may come in.
"""
