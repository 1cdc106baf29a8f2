"""What can be wrong with a server."""


class ServerFault(Exception):
    """A server is dead, hangs, or answers what no model can have said: mend it and ask again."""


class ServerRefusal(Exception):
    """A server will give the same answer again: asking another time does not help."""
