"""An S3 server that takes large uploads at no cost and keeps none of their bytes, to measure clients by.

    python benchmarks/null_store.py BUCKET

Prints its endpoint and serves until its standard input ends.  Parts of a mebibyte and more are thrown away inside
the kernel (MSG_TRUNC, tcp(7)), and what they are parts of is answered as if it were complete; all else is moto's.
"""

import re
import socket
import sys
import threading
from typing import Final

import boto3
from moto.server import ThreadedMotoServer

_DISCARD_BYTES: Final = 1 << 20
_LARGE_BYTES: Final = 1 << 20
_UPLOAD: Final = re.compile(rb"(PUT|POST) [^ ?]*\?[^ ]*uploadId=([^& ]+)")
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED: Final = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_ETAG: Final = b'"0123456789abcdef0123456789abcdef"'


def answered(body: bytes, *headers: bytes) -> bytes:
    lines = [b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def serve(client: socket.socket, moto: tuple[str, int], thrown_away: set[bytes]) -> None:
    """All requests of one connection."""
    buffer = bytearray(_DISCARD_BYTES)
    with client, socket.create_connection(moto) as behind:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reader, answers = client.makefile("rb", buffering=1 << 13), behind.makefile("rb")
        while head := _head(reader):
            length = int(found[1]) if (found := _LENGTH.search(head)) else 0
            upload = _UPLOAD.match(head)
            if upload and upload[1] == b"PUT" and length >= _LARGE_BYTES:
                thrown_away.add(upload[2])
                held = reader.peek(1)[:length]  # type: ignore[attr-defined]
                reader.read(len(held))
                left = length - len(held)
                while left:
                    left -= client.recv_into(buffer, min(left, _DISCARD_BYTES), socket.MSG_TRUNC)
                client.sendall(answered(b"", b"ETag: " + _ETAG))
            elif upload and upload[1] == b"POST" and upload[2] in thrown_away:
                reader.read(length)
                text = b"<CompleteMultipartUploadResult><ETag>" + _ETAG + b"</ETag></CompleteMultipartUploadResult>"
                client.sendall(answered(text, b"Content-Type: application/xml"))
            else:
                behind.sendall(head + reader.read(length))
                client.sendall(_answer(answers, head.startswith(b"HEAD")))


def _head(stream: "socket.SocketIO | object") -> bytes:
    found = b""
    while not found.endswith(b"\r\n\r\n"):
        line: bytes = stream.readline()  # type: ignore[union-attr]
        if not line:
            return b""
        found += line
    return found


def _answer(stream: "object", has_no_body: bool) -> bytes:
    head = _head(stream)
    if has_no_body or head[9:12] in (b"204", b"304"):
        return head
    if not _CHUNKED.search(head):
        length = int(found[1]) if (found := _LENGTH.search(head)) else 0
        return head + stream.read(length)  # type: ignore[attr-defined,no-any-return]
    body = b""
    while True:
        line = stream.readline()  # type: ignore[attr-defined]
        size = int(line.split(b";")[0], 16)
        body += line + stream.read(size + 2)  # type: ignore[attr-defined]
        if size == 0:
            return head + body


def main() -> None:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    moto = server.get_host_and_port()
    keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
    boto3.client("s3", endpoint_url=f"http://{moto[0]}:{moto[1]}", **keys).create_bucket(Bucket=sys.argv[1])
    thrown_away: set[bytes] = set()
    listener = socket.create_server(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)

    def accept() -> None:
        while True:
            client, _ = listener.accept()
            threading.Thread(target=serve, args=(client, moto, thrown_away), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    sys.stdin.read()
    server.stop()


if __name__ == "__main__":
    main()
