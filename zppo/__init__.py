"""Post-train a small language model with a teacher in its prompts, never in its gradients."""

__version__ = "0.1.0"
