"""Engines that sample responses of a model."""
