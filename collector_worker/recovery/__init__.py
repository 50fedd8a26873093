"""What a new run does before its first entry: take the fence, replay the spool, read how far it was.

In comes what Redis and the disk hold, out comes where to go on. Nothing that runs later may come in.
"""
