"""Commands that show: status, why, events, logs.

Input: heartbeats, journal and logs. Output: tables and JSON. Code that changes anything does not belong here.
"""
