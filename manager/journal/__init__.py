"""What happened, written down and remembered.

Input: changes and incidents. Output: journal entries, and the history after a restart. Code that decides does not
belong here.
"""
