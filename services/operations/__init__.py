"""The operator's hand: what people on call ask of all four services together, from a shell.

It is no service. It reads the services' own tables by their own stores, and changes them by their
own handlers; each change is noted with who did it and why.
"""
