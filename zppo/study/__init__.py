"""A study: the same recipe under many methods, settings and seeds, and what comes out."""
