"""What the manager does: restarts, programs added and removed, through supervisord.

In come actions and the fleet that should be, out come calls and entries of the journal. Nothing that decides whether
may come in.
"""
