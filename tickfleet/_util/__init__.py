"""Small general tools: clocks, pauses, sockets, files that survive a power cut.

Inputs and outputs are plain values. No code here may know the contract, and no program outside the project may rely on
this package.
"""
