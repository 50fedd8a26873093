"""What ``manager-cli export`` writes: ``span`` and ``tally`` decide (pure), ``copying`` reads, ``csv_file`` writes."""
