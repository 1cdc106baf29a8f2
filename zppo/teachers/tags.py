"""What a teacher writes between tags."""

import re


def last_inside(text: str, tag: str) -> str | None:
    """The text inside the last `<tag> </tag>`, or None; an opening tag that never closes is no tag."""
    found = re.findall(rf"<{tag}>((?:(?!<{tag}>).)*?)</{tag}>", text, re.DOTALL)
    return found[-1] if found else None
