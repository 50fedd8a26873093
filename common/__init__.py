"""What the collectors, the manager and the readers of the streams share: the contract and its edges."""
