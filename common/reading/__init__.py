"""The parts of the readers; their faces are ``common.subscriber``, ``common.groups`` and ``common.live_book``."""
