"""What happens when something arrives: load, decide, save, announce.

steps      save decided steps: cases, duties, history, counts, and what is said of them
petitions  intake.events: open cases, add to them, park what has a gap
orders     escalation.events: apply an order, or refuse it as stale
commands   HTTP: one command on one case, once per Idempotency-Key
policies   load, publish and remember policy versions
measures   the business figures of /metrics; counters that count after the commit
"""
