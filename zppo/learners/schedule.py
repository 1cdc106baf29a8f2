"""The learning rate of each update."""

from schemas.config.learner import AdamWConfig


def learning_rate(config: AdamWConfig, updates: int) -> float:
    """Learning rate of the next update after so many: a linear warm-up, then constant."""
    if updates >= config.warmup_updates:
        return config.learning_rate
    return config.learning_rate * (updates + 1) / config.warmup_updates
