"""What happens when snapshots arrive, when a second has passed, and when all is counted anew."""
