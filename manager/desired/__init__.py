"""The fleet that should be: the fleet file as taken, with what operators have changed at run time.

Input: the file and the orders. Output: one fleet. The present state of collectors does not belong here.
"""
