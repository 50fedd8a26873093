"""From facts to verdicts and actions.

In come facts, history and settings, out come judgements and actions. No I/O and no clock may come in.
"""
