"""What the manager sees in a round: heartbeats, processes, Redis, its own clock.

In come Redis and supervisord, out come facts with the moment they were seen. Nothing that judges may come in.
"""
