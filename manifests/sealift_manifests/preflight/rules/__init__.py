"""The rules, by theme: each takes a case and yields what it finds."""
