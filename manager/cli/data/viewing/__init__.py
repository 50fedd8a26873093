"""What ``manager-cli tail`` shows, and how.

Input: entries. Output: lines for a terminal, or JSON. Only ``ledgers`` reads Redis here.
"""
