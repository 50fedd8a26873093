"""``manager-cli doctor``: what would harm the fleet sooner or later, and how to mend it.

``gather`` and ``visits`` look, the others judge what they found (pure). A check that could not look is reported as
skipped, never as ok. Code that repairs something does not belong here.
"""
