"""Commands about the fleet as a whole: its file, plan and apply, bans, Redis.

Input: the fleet file. Output: differences and orders. The health of single collectors does not belong here.
"""
