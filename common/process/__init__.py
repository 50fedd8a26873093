"""How a process of ours lives: event loop, logs, signals, its end.

In comes the coroutine that is to run, out comes an exit code. Nothing of markets or health may come in.
"""
