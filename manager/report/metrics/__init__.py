"""What the manager shows over HTTP on a loopback port: /metrics, /healthz and /status.

In comes the snapshot that the loop leaves, out come pages. Nothing that asks Redis or supervisord may come in.
"""
