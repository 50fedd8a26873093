"""Figures of the collectors, the machine and Redis' memory, taken every few seconds.

In come heartbeats and /proc, out comes one document in Redis. Nothing that judges health may come in.
"""
