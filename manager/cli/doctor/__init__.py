"""``manager-cli doctor``: what would harm the fleet sooner or later, and how to mend it.

``gather`` looks (all input and output), ``redis_checks``, ``host_checks`` and ``exchange_checks`` judge what it saw.
"""
