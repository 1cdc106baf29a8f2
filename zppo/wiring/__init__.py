"""Recipe -> ports and stages: the only place that knows every adapter."""
