"""supervisord, spoken to: the only room that does.

In come calls, out come processes in our words or one error. Nothing that knows collectors may come in.
"""
