"""The manager: judges the health of the fleet by its heartbeats and heals it through supervisord."""
