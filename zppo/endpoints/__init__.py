"""A client for OpenAI-compatible chat endpoints: retries, rate limits, a budget."""
