"""Prompt templates: one directory a set, `string.Template` files that a recipe can replace."""
