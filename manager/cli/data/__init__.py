"""Commands that show or copy data: tail, coverage, export.

Input: streams. Output: lines and files. Code that changes the fleet does not belong here.
"""
