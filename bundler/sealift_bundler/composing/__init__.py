"""From the Compose files that a user has to the one value that is checked.

Several files, what they include and extend, `.env` and profiles, by the rules that
Compose has.
"""
