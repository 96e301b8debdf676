"""HTTP of intake: residents hand in petitions and follow them; officers look at what was read."""

# Importing them adds their routes, the hot one first.
from services.intake.api import petitions, receipts, additions, officers  # noqa: I001
from services.intake.api.gate import gate
from services.intake.api.routing import routes

__all__ = ["additions", "gate", "officers", "petitions", "receipts", "routes"]
