"""The embedded default: a task, and a student and a teacher small enough to be committed."""
