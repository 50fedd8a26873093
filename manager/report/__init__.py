"""What the manager tells the world: status, heartbeat, metrics, alerts, figures.

Input: judgements and journal entries. Output: documents, pages and messages. Code that changes the fleet does not
belong here.
"""
