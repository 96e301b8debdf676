"""Owns what a resident said and who they are, the reading of it, and the receipts.
Hears router.events and policy.events.
Says `petition.received`, `petition.supplemented` and `petition.rated`.
"""
