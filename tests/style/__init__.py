"""The words and names of the project, held by ``make lint``.

In come the files that git knows, out come the places that break a rule of ``rules``, less what ``left.txt`` still has
of old. Nothing that needs the code to run may come in.
"""
