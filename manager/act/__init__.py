"""What the manager does: restarts, programs added and removed, through supervisord.

Input: actions and the desired fleet. Output: calls to supervisord and journal entries. Code that decides whether to act
does not belong here.
"""
