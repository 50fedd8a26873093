"""Small tools without a meaning of their own: clocks, pauses, sockets, files that survive a power cut.

In and out go plain values. Nothing that knows the contract may come in, and nobody outside the project relies on it.
"""
