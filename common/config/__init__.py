"""What a fleet is to be: the fleet file, exchanges' profiles, the environment, the folders.

In come texts of an operator, out come frozen values that can work, or one line that says what to mend. No connection
may come in.
"""
