"""What happens when something arrives: petitions are committed in groups, read, and followed.

`petitions` commits what was accepted and takes what residents add, `reading` reads and announces,
`receipts` hears how far a case got, `policy` keeps versions and compiles the newest, `loops` does
all that by itself as time goes by.
"""
