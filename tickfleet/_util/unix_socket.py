"""How long the path of a unix socket may be. Standard library only: set-up uses it before anything is installed."""

SOCKET_PATH_MAX_BYTES = 107
"""``sun_path`` of unix(7), without the zero byte at its end."""
