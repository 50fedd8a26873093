"""``manager-cli doctor``: what would harm the fleet sooner or later, and how to mend it.

``gather`` and ``visits`` look, the others judge what they found (pure). What could not be looked at is skipped, never
ok; nothing that mends by itself may come in.
"""
