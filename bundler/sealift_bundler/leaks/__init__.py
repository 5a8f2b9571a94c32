"""Secrets must not travel: looks for them in all that a bundle would carry.

What is found is told by rule and place; the value itself is never kept or shown.
"""
