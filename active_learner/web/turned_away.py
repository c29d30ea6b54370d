"""What a browser shows whose link does not let it in. Knows a problem and the pages' style; decides nothing."""

from __future__ import annotations

from html import escape

from starlette.responses import HTMLResponse

from active_learner.web.problems import TITLES, Problem

PAGE = """<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>{title}</title>
  <link rel="icon" href="/static/icon.svg" type="image/svg+xml">
  <link rel="stylesheet" href="/static/tokens.css">
  <link rel="stylesheet" href="/static/base.css">
</head>
<body>
  <main class="board"><h1>{title}</h1><p>{detail}</p></main>
</body>
</html>
"""


def turned_away(problem: Problem) -> HTMLResponse:
    texts = {"title": escape(TITLES[problem.status]), "detail": escape(problem.detail)}
    return HTMLResponse(PAGE.format(**texts), problem.status, problem.headers)
