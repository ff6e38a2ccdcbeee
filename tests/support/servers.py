"""Servers on loopback for tests of what is elsewhere: nginx, S3 (moto's), and a proxy that counts and cuts."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Self

ROOT = Path(__file__).parents[2]
SERVERS = ROOT / ".venv-servers" / "bin" / "python"
HOST = "127.0.0.1"
S3_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "an-id-of-tests",
    "AWS_SECRET_ACCESS_KEY": "a-secret-of-tests",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_MAX_ATTEMPTS": "1",
}
"""What a client of the S3 server needs, beside AWS_ENDPOINT_URL."""
_CONFIG = """\
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log; worker_rlimit_nofile 4096;
events {{ worker_connections 1024; }}
http {{
    log_format bytes '$bytes_sent $status $request';
    access_log {folder}/access.log bytes;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{ listen {host}:{port}; root {root}; autoindex on; }}
}}
"""


def missing_servers() -> str:
    """What is not installed, and how it is; "" if all is there."""
    wanted = {"nginx": shutil.which("nginx"), f"{SERVERS}": SERVERS.exists()}
    absent = [name for name, there in wanted.items() if not there]
    return f"needs {' and '.join(absent)}: make servers" if absent else ""


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as one:
        one.bind((HOST, 0))
        return int(one.getsockname()[1])


class Server:
    """A server process, which can be stopped and started again on its port.

    Attributes:
        port: where it listens.
        url: its address.
    """

    def __init__(self, command: list[str], port: int) -> None:
        self.port, self.url = port, f"http://{HOST}:{port}"
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 300
        while time.monotonic() < end:
            with contextlib.suppress(OSError), socket.create_connection((HOST, self.port), timeout=1):
                return
            assert self._process.poll() is None, f"{self._command[0]} ended: {self._process.returncode}"
            time.sleep(0.02)
        raise AssertionError(f"{self._command[0]} takes no connections")

    def stop(self) -> None:
        """Stop it at once."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()


class Nginx(Server):
    """A web server of one folder, with range requests.

    Args:
        root: the folder.
        folder: an empty one, for its files.

    Attributes:
        root: the folder.
    """

    def __init__(self, root: Path, folder: Path) -> None:
        port = free_port()
        self._log = folder / "access.log"
        self.root = root
        config = folder / "nginx.conf"
        config.write_text(_CONFIG.format(folder=folder, host=HOST, port=port, root=root))
        if os.getuid() == 0:  # its worker is another user then
            config.write_text(f"user root;\n{config.read_text()}")
        super().__init__(["nginx", "-p", str(folder), "-c", str(config)], port)

    def requests(self) -> list[str]:
        """Status and request of each, in their order."""
        return [line.partition(" ")[2] for line in self._lines()]

    def bytes_sent(self) -> int:
        """Bytes of all answers so far, with their headers."""
        return sum(int(line.partition(" ")[0]) for line in self._lines())

    def forget(self) -> None:
        """Count from here on."""
        self._log.write_bytes(b"")

    def _lines(self) -> list[str]:
        return self._log.read_text().splitlines()


class S3(Server):
    """An empty S3 server; stopped, it forgets its objects."""

    def __init__(self) -> None:
        port = free_port()
        super().__init__([str(SERVERS), "-W", "ignore", "-m", "moto.server", "-H", HOST, "-p", str(port)], port)

    @property
    def environment(self) -> dict[str, str]:
        """Environment of a client."""
        return {**S3_ENVIRONMENT, "AWS_ENDPOINT_URL": self.url}


class Proxy:
    """A TCP proxy in front of a server.

    Attributes:
        port: where it listens.
        url: its address.
        received: bytes that the server has answered.
        cut_after: bytes of the server's after which each connection is cut; None to cut none.
        cuts_left: connections to cut; None for all.
    """

    def __init__(self, server: Server) -> None:
        self.received = 0
        self.cut_after: int | None = None
        self.cuts_left: int | None = None
        self._server = server
        self._open: set[socket.socket] = set()
        self.port = 0
        self.start()
        self.url = f"http://{HOST}:{self.port}"

    def start(self) -> None:
        """Take connections; on the same port if it has done so before."""
        self._listener = socket.create_server((HOST, self.port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, args=(self._listener,), daemon=True).start()

    def stop(self) -> None:
        """Refuse connections, and reset those that there are, as a system does whose server is killed."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # or the thread that waits there would take one more
        self._listener.close()
        for connection in list(self._open):
            self._open.discard(connection)  # so that it is closed without a farewell
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.shutdown(socket.SHUT_RD)  # wakes the thread that reads it

    def cut(self) -> None:
        """Cut all connections."""
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection((HOST, self._server.port), timeout=30)
            except OSError:
                client.close()
                continue
            self._open |= {client, server}
            for target, one, other in ((self._upwards, client, server), (self._downwards, server, client)):
                threading.Thread(target=target, args=(one, other), daemon=True).start()

    def _upwards(self, client: socket.socket, server: socket.socket) -> None:
        with self._ending(client, server):
            while data := client.recv(1 << 16):
                server.sendall(data)

    def _downwards(self, server: socket.socket, client: socket.socket) -> None:
        left = self._limit()
        with self._ending(client, server):
            while left != 0 and (data := server.recv(1 << 16)):
                piece = data if left is None else data[:left]
                left = None if left is None else left - len(piece)
                client.sendall(piece)
                self.received += len(piece)

    def _limit(self) -> int | None:
        if self.cut_after is None or self.cuts_left == 0:
            return None
        if self.cuts_left is not None:
            self.cuts_left -= 1
        return self.cut_after

    @contextlib.contextmanager
    def _ending(self, *connections: socket.socket) -> Iterator[None]:
        with contextlib.suppress(OSError):
            yield
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR if connection in self._open else socket.SHUT_RD)
            connection.close()
            self._open.discard(connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()
