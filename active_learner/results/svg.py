"""Elements of SVG and HTML as escaped text. Knows markup; not what is drawn."""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup, escape


def element(name: str, children: Iterable[str] | str = (), **attributes: object) -> Markup:
    """<name ...>children</name>. Attributes of None are left out; `class_` is class, `text_anchor` is text-anchor.

    Children are escaped unless they are Markup; numbers are written short, so that the same chart is the same bytes.
    """
    said = "".join(
        f' {_attribute(key)}="{escape(_value(value))}"' for key, value in attributes.items() if value is not None
    )
    inner = escape(children) if isinstance(children, str) else Markup("").join(children)
    # Safe: names are our own, values and children are escaped above.
    return Markup(f"<{name}{said}>{inner}</{name}>" if inner else f"<{name}{said}/>")  # nosec B704


def text(x: float, y: float, class_: str, words: str, anchor: str = "start") -> Markup:
    return element("text", words, x=x, y=y, class_=class_, text_anchor=anchor)


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def chart(width: int, height: int, title: str, children: Iterable[str]) -> Markup:
    """An image of `width` x `height` real pixels that a screen reader reads as `title`."""
    return element(
        "svg",
        children,
        viewBox=f"0 0 {width} {height}",
        width=width,
        height=height,
        class_="chart",
        role="img",
        aria_label=title,
    )


def path(points: Iterable[tuple[float, float]]) -> str:
    """The `d` of a broken line through the points."""
    return "".join(f"{'L' if number else 'M'}{_value(x)} {_value(y)}" for number, (x, y) in enumerate(points))


_CAMEL_CASE = ("viewBox", "preserveAspectRatio")


def _attribute(key: str) -> str:
    return key if key in _CAMEL_CASE else key.rstrip("_").replace("_", "-")


def _value(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    short = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if short == "-0" else short
