"""What the manager shows over HTTP on a loopback port: /metrics, /healthz and /status."""
