"""Talks to supervisord; apart from the watchdog, no other package of the manager does.

Input: calls. Output: processes as our own type, or one error. Code that knows collectors does not belong here.
"""
