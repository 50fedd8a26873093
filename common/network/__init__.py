"""Why a host could not be reached or did not serve us, in words.

In come errors and HTTP statuses, out come short texts without secrets. No socket may come in.
"""
