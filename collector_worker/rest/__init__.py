"""REST within the limits that all processes of a machine share.

The input is a request of an adapter; the output is the body, or an error that says whether to ask again. No code here
knows the content of a body.
"""
