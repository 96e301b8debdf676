"""`casegrid intake train`: what labelled petitions and dispatchers' corrections teach the reading.

`labelled` finds the examples, `fitting` makes a model of them and tries it on others, `command` is
what a user calls. The model is a part of the policy: `casegrid router policy load --model FILE
--reason …`.
"""

from services.intake.training.command import train

__all__ = ["train"]
