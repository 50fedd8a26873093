"""Tells a person, through a webhook, what the manager cannot mend by itself.

Input: journal entries. Output: at most one message per cause. Code that changes the fleet does not belong here.
"""
