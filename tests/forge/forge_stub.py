"""A server that answers as GitHub's and GitLab's REST APIs do, as far as comments on pull requests go.

Real sockets and threads; pages by ``Link`` on GitHub and by ``x-next-page`` on GitLab; limits, refusals,
answers that are lost. What it does is taken from their documentation.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

TOKEN = "ghs_0123456789abcdefSECRET"
BOT = "github-actions[bot]"
LONGEST = 65_536  # characters of a comment

Answer = tuple[int, dict[str, str], Any]
LOST = (0, {}, None)
"""No answer: the connection is dropped."""


@dataclass
class Fault:
    """What befalls the next requests that fit: ``answer`` in its place, ``times`` times. ``after``: the
    request is carried out all the same, and only its answer is another.
    """

    fits: str
    answer: Answer
    times: int = 1
    after: bool = False


@dataclass
class ForgeStub:
    """``comments`` by pull request; ``titles`` of the open pull requests, the one that changed last first;
    ``login``: whose the token is, "" for one that cannot ask; ``page``: the most on a page.
    """

    login: str = ""
    writer: str = BOT
    titles: dict[int, str] = field(default_factory=lambda: {7: "Ours"})
    comments: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    page: int = 100
    elsewhere: str = ""  # the host that links to the next page name, if not this one
    faults: list[Fault] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    _next: int = 100
    _lock: threading.Lock = field(default_factory=threading.Lock)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def add(self, number: int, author: str, body: str, **more: Any) -> int:
        """Have somebody comment. Returns the comment's id."""
        self._next += 1
        made = {"id": self._next, "body": body, "author": author, **more}
        self.comments.setdefault(number, []).append(made)
        return self._next

    def bodies(self, number: int = 7) -> list[str]:
        return [one["body"] for one in self.comments.get(number, [])]

    def wrote(self) -> list[str]:
        return [one.split("?")[0] for one in self.seen if not one.startswith("GET")]

    # --- answering

    def answer(self, method: str, target: str, headers: dict[str, str], body: Any) -> Answer:
        with self._lock:
            request = f"{method} {target}"
            self.seen.append(request)
            self.headers.append(headers)
            fault = next((one for one in self.faults if one.times and re.search(one.fits, request)), None)
            if fault is not None:
                fault.times -= 1
                if fault.after:
                    self._answer(method, target, headers, body)
                return fault.answer
            return self._answer(method, target, headers, body)

    def _answer(self, method: str, target: str, headers: dict[str, str], body: Any) -> Answer:
        if headers.get("authorization") != f"Bearer {TOKEN}":
            return 401, {}, {"message": "Bad credentials"}
        path, query = urlsplit(target).path, dict(parse_qsl(urlsplit(target).query))
        for form, answer in self.ROUTES:
            if found := re.fullmatch(form, f"{method} {path}"):
                return answer(self, found, query, body)
        return 404, {}, {"message": "Not Found"}

    def _user(self, _found: re.Match[str], _query: dict[str, str], _body: Any) -> Answer:
        if not self.login:
            return 403, {}, {"message": "Resource not accessible by integration", "status": "403"}
        return 200, {}, {"login": self.login, "username": self.login, "id": 1}

    def _list(self, found: re.Match[str], query: dict[str, str], _body: Any) -> Answer:
        made = [self._shown(one) for one in self.comments.get(int(found["n"]), [])]
        return self._paged(found, query, made)

    def _pulls(self, found: re.Match[str], query: dict[str, str], _body: Any) -> Answer:
        assert query["state"] in ("open", "opened")
        made = [{"number": n, "iid": n, "id": 9, "title": title} for n, title in self.titles.items()]
        return self._paged(found, query, made)

    def _paged(self, found: re.Match[str], query: dict[str, str], items: list[Any]) -> Answer:
        size, page = min(int(query.get("per_page", 30)), self.page), int(query.get("page", 1))
        shown, more = items[(page - 1) * size : page * size], len(items) > page * size
        if "gitlab" in found.re.pattern:
            return 200, {"x-next-page": str(page + 1) if more else "", "x-page": str(page)}, shown
        base = f"{self.elsewhere or self.url}/repositories/99/some/where"
        links = [f'<{base}?per_page={size}&page={page - 1}>; rel="prev"'] if page > 1 else []
        links += [f'<{base}?per_page={size}&page={page + 1}>; rel="next"'] if more else []
        return 200, {"Link": ", ".join(links)} if links else {}, shown

    def _create(self, found: re.Match[str], _query: dict[str, str], body: Any) -> Answer:
        if int(found["n"]) not in self.titles:
            return 404, {}, {"message": "Not Found"}
        if len(body["body"]) > LONGEST:
            return self._too_long()
        self.add(int(found["n"]), self.writer, body["body"])
        return 201, {}, self._shown(self.comments[int(found["n"])][-1])

    def _edit(self, found: re.Match[str], _query: dict[str, str], body: Any) -> Answer:
        if len(body["body"]) > LONGEST:
            return self._too_long()
        for one in (one for found_there in self.comments.values() for one in found_there):
            if one["id"] == int(found["id"]):
                one["body"] = body["body"]
                return 200, {}, self._shown(one)
        return 404, {}, {"message": "Not Found"}

    def _too_long(self) -> Answer:
        told = {"resource": "IssueComment", "code": "unprocessable", "field": "data"}
        told["message"] = "Body is too long (maximum is 65536 characters)"
        return 422, {}, {"message": "Validation Failed", "errors": [told]}

    def _shown(self, one: dict[str, Any]) -> dict[str, Any]:
        author = {"login": one["author"], "username": one["author"], "id": 5} if one["author"] else None
        url = {"html_url": f"https://github.test/c/{one['id']}"} if not one.get("gitlab") else {}
        return {**one, "user": author, "author": author, **url}

    ROUTES = (
        (r"GET /user", _user),
        (r"GET /repos/o/r/issues/(?P<n>\d+)/comments", _list),
        (r"GET /projects/5/merge_requests/(?P<n>\d+)/notes|gitlab", _list),
        (r"POST /repos/o/r/issues/(?P<n>\d+)/comments", _create),
        (r"POST /projects/5/merge_requests/(?P<n>\d+)/notes", _create),
        (r"PATCH /repos/o/r/issues/comments/(?P<id>\d+)", _edit),
        (r"PUT /projects/5/merge_requests/7/notes/(?P<id>\d+)", _edit),
        (r"GET /repos/o/r/pulls", _pulls),
        (r"GET /projects/5/merge_requests|gitlab", _pulls),
    )


@contextmanager
def serving() -> Iterator[ForgeStub]:
    """Yield a forge that answers on a port of its own."""
    stub = ForgeStub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _handle(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, more, document = stub.answer(self.command, self.path, headers, body)
            if not status:
                self.close_connection = True
                return
            data = document if isinstance(document, bytes) else json.dumps(document).encode()
            self.send_response_only(status)
            own = {"Content-Length": str(len(data)), "Date": self.date_time_string()}
            for name, value in {**own, **more}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = do_PUT = _handle  # noqa: N815 - so http.server calls them

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    stub.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
