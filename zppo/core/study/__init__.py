"""What a study shows: pure functions from its runs' records to estimates, differences and verdicts."""
