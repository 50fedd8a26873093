"""What the manager sees in a round: heartbeats, processes, Redis, its own clock.

Input: Redis and supervisord. Output: facts, each with the time it was seen. Code that judges does not belong here.
"""
