"""Figures of the collectors, the machine and Redis' memory: taken every few seconds, kept, and shown from there."""
