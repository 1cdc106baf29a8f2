"""The report's HTML: templates, assets and data in one file that needs nothing else."""

import json
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import sha256
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from zppo import __version__
from zppo.progress import clock_text
from zppo.report.model import Money

UPLOT = "1.6.32"
SCRIPTS = ("text.js", "charts.js", "questions.js", "life.js", "main.js")
_ASSETS = files("zppo.report") / "assets"
_INVISIBLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
)
"""Characters that show nothing or turn text around; `assets/text.js` has the same."""


def visible(text: str) -> str:
    """Text with the characters named that would show nothing."""
    return _INVISIBLE.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", text)


def render(template: str, title: str, data: Mapping[str, str], live: bool = False, **content: object) -> str:
    """One page.

    Args:
        template: Extends `page.html.jinja`.
        title: Of the window.
        data: JSON texts for the page's script, by name.
        live: Whether the page may ask the server that it comes from.
        content: What the template shows.
    """
    style, scripts = _asset(f"uPlot-{UPLOT}.min.css") + _asset("report.css"), (_uplot(), _program())
    return (
        _environment()
        .get_template(template)
        .render(
            title=title,
            version=__version__,
            uplot=UPLOT,
            policy=policy(style, scripts, live),
            style=Markup(style),
            scripts=[Markup(script) for script in scripts],
            data={name: Markup(_inert(content)) for name, content in data.items()},
            **content,
        )
    )


def policy(style: str, scripts: Sequence[str], live: bool) -> str:
    """A Content-Security-Policy under which nothing but this page's own style and scripts has an effect."""
    allowed = " ".join(_hash(script) for script in scripts)
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {allowed}",
            f"style-src {_hash(style)}",
            "img-src data:",
            "connect-src 'self'" if live else "connect-src 'none'",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def money_text(money: Sequence[Money]) -> str:
    """Amounts for a reader, such as `12.30 USD + 0.0021 EUR`; a dash for none."""
    texts = (f"{each.amount:,.2f}" if each.amount >= 0.1 else f"{each.amount:.2g}" for each in money)
    return " + ".join(f"{text} {each.currency}" for text, each in zip(texts, money, strict=True)) or "–"


def compact(value: object) -> str:
    """JSON without blanks."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _inert(content: str) -> str:
    """JSON that cannot end the script element that it stands in, nor begin another one."""
    return content.replace("<", "\\u003c")


def _hash(content: str) -> str:
    return f"'sha256-{b64encode(sha256(content.encode()).digest()).decode()}'"


@cache
def _asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")


def _uplot() -> str:
    return _asset(f"uPlot-{UPLOT}.iife.min.js")


@cache
def _program() -> str:
    """The page's own script, in a scope of its own."""
    body = "\n".join(map(_asset, SCRIPTS))
    assert "</script" not in body.lower(), "a script element ends at the first closing tag"
    return f'(() => {{\n"use strict";\n{body}\n}})();'


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("zppo.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["visible"] = visible
    environment.filters["clock"] = clock_text
    environment.filters["money"] = money_text
    environment.filters["capitalize_first"] = lambda text: text[:1].upper() + text[1:]
    return environment
