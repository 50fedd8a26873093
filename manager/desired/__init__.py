"""The fleet that should be: the fleet file as taken, with what operators have changed at run time.

In come the file and the orders, out comes one fleet. Nothing of what is now may come in.
"""
