"""An exchange on a loopback port, for the demo, the tests and the benchmarks. Never imports the collector."""
