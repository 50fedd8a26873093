"""The words of the manager: processes, verdicts, entries of the journal, texts for people.

Values only. Nothing that looks, decides or acts may come in.
"""
