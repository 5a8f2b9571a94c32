"""What both sides of the gap agree on: the format, and how it is verified.

Standard library only, Python 3.8 and later. Opens no socket, runs no program.
"""
