"""The report of a run: one HTML file that says what happened, and lets people look at every prompt.

`history` reads a run, `lives` follows its questions, the other modules make what is shown of that, as values
of `model`; `page` puts them into the file.
"""
