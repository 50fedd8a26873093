"""Administration of Redis: the client for commands, all servers, rights, the append-only file.

Inputs are questions of the manager and the commands; outputs are answers and findings. No code of the data path here.
"""
