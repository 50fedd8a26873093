"""Texts for why a host could not be reached or did not serve us.

Inputs are errors and HTTP statuses; outputs are short texts without secrets. No sockets here.
"""
