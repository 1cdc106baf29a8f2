"""Where artifacts are kept: atomic commits, locks, and the files of each artifact."""
