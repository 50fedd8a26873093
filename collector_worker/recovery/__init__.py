"""What a new run does before its first entry: take the fence, replay the spool, read the progress.

Inputs are the contents of Redis and the disk; the output is where to continue. No code here runs later.
"""
