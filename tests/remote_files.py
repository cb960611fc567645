"""A server for tests: files of one folder, by ranges if told so, and a count of what it gave."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class Handler(SimpleHTTPRequestHandler):
    """Files with ETag, ranges and byte counts; the rest is http.server's."""

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._file(self._plain, body=False)

    def do_GET(self) -> None:
        self._file(self._plain, body=True)

    def _plain(self) -> None:
        (super().do_GET if self.command == "GET" else super().do_HEAD)()

    def _file(self, folder: Any, *, body: bool) -> None:
        time.sleep(self.server.delay)
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            folder()  # a listing, or 404
            return
        data, start, server = path.read_bytes(), 0, self.server
        asked = self.headers.get("Range") if server.ranges else None
        total = len(data)
        if asked:
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, stop = int(first), int(last or total - 1) + 1
            data = data[start:stop]
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{start + len(data) - 1}/{total}")
        if server.lengths:
            self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", f'"{path.stat().st_mtime_ns}"')
        self.end_headers()
        if body:
            server.given.append((path.name, start, len(data)))
            self.wfile.write(data)


@contextmanager
def server(folder: Path, *, ranges: bool = True, lengths: bool = True) -> Iterator[Any]:
    """Serve a folder; ``given`` lists (file, first byte, number of bytes) of each answer."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as made:
        made.ranges, made.lengths, made.given, made.delay = ranges, lengths, [], 0.0
        made.url = f"http://127.0.0.1:{made.server_port}"
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield made
        finally:
            made.shutdown()
            thread.join()
