"""Pure decisions of the router: same inputs, same decision; no I/O, no clock, no logging."""
