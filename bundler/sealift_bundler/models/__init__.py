"""Where weights come from, and what may be in them."""
