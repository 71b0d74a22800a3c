"""The stranger's API on a real socket of loopback, one server a test."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from stranger_api import Api


class Server(ThreadingHTTPServer):
    request_queue_size = 128  # of more connections at once than wait here, some are made a minute later


@contextmanager
def serving(api: Api) -> Iterator[str]:
    """Serve on a free port of loopback; gives the base URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body leave together
        disable_nagle_algorithm = True

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            key = self.headers.get("Authorization", "").removeprefix("Bearer ")
            try:
                status, told = api.answer(self.command, self.path, key, body)
            except ConnectionAbortedError:  # the answer is lost
                self.close_connection = True
                return
            sent = json.dumps(told).encode()
            self.send_response_only(status)
            self.send_header("Date", api.world.now.strftime("%a, %d %b %Y %H:%M:%S GMT"))
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        do_GET = do_POST = do_PATCH = _handle  # noqa: N815 - http.server's names

    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that hangs up
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
