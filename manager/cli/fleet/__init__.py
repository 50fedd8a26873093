"""Commands about the fleet as a whole: its file, plan and apply, bans, Redis.

In comes the fleet file, out come differences and orders. Nothing of single collectors' health may come in.
"""
