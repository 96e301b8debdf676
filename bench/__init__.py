"""Load, capacity and quality runs; each prints its figures."""
