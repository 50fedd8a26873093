"""What tests stand on: processes to run against, and stand-ins for what is slow or random."""
