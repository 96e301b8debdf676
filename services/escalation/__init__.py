"""Owns time: armed clocks, orders to promote or supervise, and the notices that tell officers.
Hears router.events.
Says `deadline.breached` and `notice.posted`.
"""
