"""What a run notes of itself: facts for the heartbeat, latencies, raw frames.

In come facts from where they happen, out come the fields of a heartbeat and files of frames. Nothing that decides may
come in.
"""
