"""Everything together: real processes, a real Redis, the simulated exchange."""
