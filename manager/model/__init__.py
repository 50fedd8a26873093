"""The words of the manager: processes, verdicts, entries of the journal, texts for people.

Values only: code that observes, decides or acts does not belong here.
"""
