"""Owns the picture of all cases: counts, shares and their breakdowns; no case of its own.
Hears router.events.
Says nothing yet.
"""
