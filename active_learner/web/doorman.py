"""Who a request is of, and whether it may be. Knows hosts, origins, sessions, tokens and rates; no answer and no question."""

from __future__ import annotations

import hmac
import ipaddress
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass

from starlette.requests import Request

from active_learner.core.flood import Bucket
from active_learner.web.accounts import Accounts, csrf_of, digest, new_secret
from active_learner.web.problems import Problem

RATE, BURST = 50.0, 100.0
"""Requests a second of one visitor: ten times what the quickest person needs; a backlog of answers goes out in seconds."""

VISITORS = 1000
"""Whose rates are remembered; the one that came longest ago is forgotten."""

WRONG, LOCK_S = 10, 60.0
"""Wrong tokens from one address in that time, after which the next wrong one is told to wait."""

OPEN = "open"
"""The session of `login: off`."""

NOT_LET_IN = "This browser is not let in: open the link that the service has printed, or ask for one (active-learner annotator add)."


@dataclass(frozen=True, slots=True)
class Visitor:
    annotator: str
    csrf: str | None
    """What each change must repeat; None: it came with a token of its own, which no page of others can send."""


class Doorman:
    def __init__(
        self,
        accounts: Accounts,
        *,
        hosts: Collection[str],
        by_address: bool,
        cookie: str,
        clock: Callable[[], float],
        default: str | None = None,
        token: str = "",
        login: bool = True,
    ) -> None:
        """`hosts`: names by which it may be reached; `by_address`: and any address in figures. `default`: the annotator of
        `token`, which holds as long as the process, and of everybody when `login` is off."""
        self.accounts, self.cookie, self.default = accounts, cookie, default
        self._hosts, self._by_address, self._clock = frozenset(hosts), by_address, clock
        self._token, self._login = digest(token) if token else "", login
        self._open_csrf = new_secret()
        self._rates: OrderedDict[str, Bucket] = OrderedDict()
        self._wrong: OrderedDict[str, tuple[int, float]] = OrderedDict()

    # --- where from

    def check_place(self, request: Request) -> None:
        """A page that was led here by a name of its own (DNS rebinding) says that name as Host; one of another origin says it in
        Origin, or its browser in Sec-Fetch-Site. Raises: Problem."""
        hosts = request.headers.getlist("host")
        if len(hosts) != 1 or not self._is_ours(_without_port(hosts[0])):
            raise Problem(
                403,
                f"This service is not called {', '.join(hosts)[:100] or 'nothing'}: use the address that it has printed.",
            )
        origin = request.headers.get("origin")
        if origin is not None and origin not in (f"http://{hosts[0]}", f"https://{hosts[0]}"):
            raise Problem(403, f"A page of {origin[:100]} may not use this service.")
        if request.headers.get("sec-fetch-site") in ("cross-site", "same-site") and not _opens_page(request):
            raise Problem(403, "A page of another place may not use this service.")

    def _is_ours(self, name: str) -> bool:
        return name.lower() in self._hosts or (self._by_address and _is_address(name)) or _is_loopback(name)

    # --- who

    def visitor(self, request: Request) -> Visitor:
        """Raises: Problem."""
        visitor, key = self._known(request)
        rate = _bucket(self._rates, key, RATE, BURST, self._clock())
        if not rate.take(1, self._clock()):
            raise Problem(429, f"More than {RATE:.0f} requests a second are not taken: wait a second.", retry_after_s=1)
        return visitor

    def _known(self, request: Request) -> tuple[Visitor, str]:
        header = request.headers.get("authorization", "")
        if header:
            return self._by_token(header, _address(request))
        if not self._login and self.default is not None:
            return Visitor(self.default, self._open_csrf), OPEN
        secret = request.cookies.get(self.cookie, "")
        annotator = self.accounts.of_session(secret) if secret else None
        if annotator is None:
            raise Problem(401, NOT_LET_IN)
        return Visitor(annotator, csrf_of(secret)), digest(secret)

    def _by_token(self, header: str, address: str) -> tuple[Visitor, str]:
        kind, _, token = header.partition(" ")
        if kind.lower() != "bearer" or not token:
            raise Problem(401, "Authorization must be: Bearer TOKEN.", headers={"WWW-Authenticate": "Bearer"})
        annotator = self.default if self._is_token(token) else self.accounts.of_script(token)
        if annotator is None:
            self._count_wrong(address)
            raise Problem(401, "There is no such token.", headers={"WWW-Authenticate": "Bearer"})
        return Visitor(annotator, None), digest(token)

    def enter(self, token: str, address: str) -> str:
        """The secret of a new session, for the token of a link. Raises: Problem."""
        try:
            annotator = self.default if self._is_token(token) else self.accounts.enter(token)
            secret = None if annotator is None else self.accounts.begin(annotator)
        except OSError as error:
            raise Problem(503, f"The session cannot be kept on the service's disk: {error}", retry_after_s=5) from error
        if secret is None:
            self._count_wrong(address)
            raise Problem(401, "This link is used already, too old, or not of this service: ask for another one.")
        return secret

    def is_still(self, request: Request, visitor: Visitor) -> bool:
        """What let them in holds still; an open stream asks that."""
        try:
            return self._known(request)[0] == visitor
        except Problem:
            return False

    def check_change(self, visitor: Visitor, given: str | None) -> None:
        """Raises: Problem."""
        if visitor.csrf is not None and not hmac.compare_digest(visitor.csrf.encode(), (given or "").encode()):
            raise Problem(403, "X-CSRF-Token is missing or of another session: load the page again.")

    def _is_token(self, token: str) -> bool:
        return self.default is not None and bool(self._token) and hmac.compare_digest(digest(token), self._token)

    def _count_wrong(self, address: str) -> None:
        """Within LOCK_S of the first of them; later ones count anew. A right token is let in all the same: nobody else at that
        address, such as a proxy's, is to be locked out. Raises: Problem."""
        number, since = self._wrong.get(address, (0, 0.0))
        wait_s = since + LOCK_S - self._clock()
        if number >= WRONG and wait_s > 0:
            raise Problem(429, f"Too many wrong tokens: wait {wait_s:.0f} s.", retry_after_s=int(wait_s) + 1)
        self._wrong.pop(address, None)
        is_old = number == 0 or self._clock() >= since + LOCK_S
        self._wrong[address] = (1, self._clock()) if is_old else (number + 1, since)
        while len(self._wrong) > VISITORS:
            self._wrong.popitem(last=False)


def _bucket(buckets: OrderedDict[str, Bucket], key: str, rate: float, burst: float, at: float) -> Bucket:
    found = buckets.pop(key, None) or Bucket(rate, burst, at)
    buckets[key] = found
    while len(buckets) > VISITORS:
        buckets.popitem(last=False)
    return found


def _opens_page(request: Request) -> bool:
    """A link that is followed may come from anywhere; what it opens says nothing without a session."""
    navigates = request.headers.get("sec-fetch-mode") == "navigate"
    return request.method == "GET" and navigates and not request.url.path.startswith("/api/")


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def _without_port(host: str) -> str:
    name, _, port = host.rpartition(":")
    return (name if name and port.isdigit() else host).strip("[]")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_loopback(name: str) -> bool:
    return name == "localhost" or (_is_address(name) and ipaddress.ip_address(name).is_loopback)
