"""What ``manager-cli export`` writes: ``span`` and ``tally`` decide (pure), ``copying`` reads, ``csv_file`` writes.

In come entries of one stream, out comes one file that is whole or not there. Nothing of the terminal may come in.
"""
