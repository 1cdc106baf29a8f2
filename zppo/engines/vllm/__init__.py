"""Rollouts through vLLM servers, which live in processes and in an environment of their own."""
