"""Redis as its operator sees it: the client for commands, all servers, rights, the append-only file.

In come questions of manager and commands, out come answers and findings. Nothing of the way of the data may come in.
"""
