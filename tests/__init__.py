"""The tests, and the simulated exchange that they, the demo and the benchmarks connect to."""
