"""Every SQL statement of intake, by noun: petitions, reading, receipts, policy."""
