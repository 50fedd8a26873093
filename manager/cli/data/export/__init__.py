"""What ``manager-cli export`` writes: ``span`` and ``tally`` decide (pure), ``copying`` reads, ``csv_file`` writes.

Input: entries of one stream. Output: one file, which is either complete or absent. Terminal code does not belong here.
"""
