"""Figures of the collectors, the machine and Redis' memory, taken every few seconds.

Input: heartbeats and /proc. Output: one document in Redis. Code that judges health does not belong here.
"""
