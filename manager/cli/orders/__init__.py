"""Commands that change which collectors run, and wait until they do.

Input: an order. Output: what it writes to Redis or asks of supervisord, and its result. Market data does not belong
here.
"""
