"""What intake decides, purely: what a petition means and where it lies, as whom it is announced.

`reading` and `placing` read; `petitions` are the values; `policy` is what a version holds for us.
"""
