"""Tells a person, through a webhook, what the manager cannot mend by itself."""
