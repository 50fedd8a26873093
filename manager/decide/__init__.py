"""From facts to verdicts and actions.

Input: facts, history and settings. Output: judgements and actions. I/O and clocks do not belong here.
"""
