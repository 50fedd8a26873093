"""What the manager shows over HTTP on a loopback port: /metrics, /healthz and /status.

Input: the snapshot that the loop leaves. Output: pages. Code that asks Redis or supervisord does not belong here.
"""
