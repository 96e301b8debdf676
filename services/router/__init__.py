"""The router owns the case: state, holder, tier, clocks, history; rules, policy, divisions.
It hears intake.events (petitions) and escalation.events (orders).
It says casegrid.case.* on router.events and the policy on policy.events.
"""
