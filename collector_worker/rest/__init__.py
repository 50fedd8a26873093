"""REST with manners: within the limits that all processes of a machine share.

In comes a request of an adapter, out comes the body or an error that says whether to ask again. Nothing that knows
what a body holds may come in.
"""
