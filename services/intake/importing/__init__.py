"""`casegrid intake import FILE`: lines of a file become petitions, over HTTP, safe to repeat.

`lines` turns a file into bodies, `sending` sends them, `command` is what a user calls.
"""

from services.intake.importing.command import import_

__all__ = ["import_"]
