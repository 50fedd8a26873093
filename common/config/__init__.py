"""The configuration of a fleet: the fleet file, exchanges' profiles, the environment, the folders.

Inputs are texts of an operator; outputs are frozen values that can work, or one line that says what to fix. No
connections here.
"""
