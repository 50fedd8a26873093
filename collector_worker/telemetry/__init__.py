"""What a run records about itself: facts for the heartbeat, latencies, raw frames.

Inputs are facts from the parts where they happen; outputs are heartbeat fields and files of frames. No decisions here.
"""
