"""Data: sources of questions, the rules they pass, the indexes behind the rules, and the prepared tables."""
