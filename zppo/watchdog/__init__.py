"""Ends a run whose sampling hangs: `guard` is the watched process's side, `watcher` the other one's."""
