"""Data files of the router, and the commands that make them."""
