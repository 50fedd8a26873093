"""manager-cli: what an operator types."""
