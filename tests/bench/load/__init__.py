"""The load: an exchange that sends OKX frames as fast, or as evenly, as asked, and costs as little as it can.

``python -m tests.bench.load`` is a process of its own. In a burst all frames are built before the first is sent, so the
client is what is measured; paced frames are built and stamped one at a time.
"""
