"""Slow and many connections, keep-alive, and large bodies that the server does not want."""

import socket
import time

import pytest
from http_server import MULTIPART, form, part, png, post, read_reply, running

from centernet.serve.limits import Limits

RAW = {"Content-Type": "image/png"}
SECONDS = 0.5


@pytest.fixture(scope="module")
def server():
    with running(limits=Limits(timeout=SECONDS, queue=4, max_bytes=1_000_000)) as server:
        yield server


def test_requests_of_one_connection_are_answered_in_turn(server):
    with server.connect() as connection:
        for _ in range(3):
            connection.sendall(post(png(), RAW))
            assert read_reply(connection).status == 200
        connection.sendall(post(png(), RAW) * 2)  # pipelined
        time.sleep(0.1)
        assert connection.recv(1 << 20).count(b"HTTP/1.1 200") >= 1


@pytest.mark.parametrize(
    "start",
    [b"", b"G", b"GET /health HTTP/1.1\r\nHost: x\r\n", b"POST /detect HTTP/1.1\r\nA: "],
    ids=["nothing", "a letter", "a head without its end", "a header"],
)
def test_a_slow_head_ends_with_408(server, start):
    begin = time.monotonic()
    with server.connect() as connection:
        connection.sendall(start)
        answer = read_reply(connection)
        assert answer.status == 408 and answer.json.keys() == {"detail"}
        assert SECONDS <= time.monotonic() - begin < 5 * SECONDS
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""  # closed


def test_a_head_byte_by_byte_ends_with_408(server):
    with server.connect() as connection:
        for letter in b"GET /health HTTP/1.1":
            time.sleep(SECONDS / 15)
            connection.sendall(bytes([letter]))
        assert read_reply(connection).status == 408


@pytest.mark.parametrize("headers", [RAW, MULTIPART], ids=["raw", "form"])
def test_a_slow_body_ends_with_408(server, headers):
    request = post(form(part(png())), headers)
    with server.connect() as connection:
        connection.sendall(request[:-40])
        for byte in request[-40:-30]:
            time.sleep(SECONDS / 15)
            connection.sendall(bytes([byte]))
        answer = read_reply(connection)
        assert answer.status == 408 and f"{SECONDS} s" in answer.json["detail"]
    assert server.service._active == 0


def test_a_second_slow_request_of_a_connection_ends_with_408(server):
    with server.connect() as connection:
        connection.sendall(post(png(), RAW) + b"GET /")
        assert read_reply(connection).status == 200
        assert read_reply(connection).status == 408


@pytest.mark.parametrize("size", [3_000_000, 30_000_000])
def test_clients_of_large_bodies_get_the_answer(server, size):
    """Also those that send the complete body before they read."""
    with server.connect() as connection:
        connection.sendall(post(b"", RAW | {"Content-Length": str(size)}))
        for _ in range(size // 100_000):
            connection.sendall(bytes(100_000))
        assert read_reply(connection).status == 413
        connection.sendall(post(png(), RAW))  # the connection can be used again
        assert read_reply(connection).status == 200


def test_an_endless_body_is_cut_off(server):
    begin = time.monotonic()
    with server.connect() as connection:
        connection.sendall(post(b"", RAW | {"Content-Length": str(10**12)}))
        with pytest.raises(ConnectionError):
            while time.monotonic() < begin + 20:
                connection.sendall(bytes(1000))
                time.sleep(0.01)
    assert time.monotonic() < begin + 5 * SECONDS


def test_a_client_that_waits_to_send_its_body_is_asked_for_it(server):
    head, body = post(png(), RAW | {"Expect": "100-continue"}).split(b"\r\n\r\n", 1)
    with server.connect() as connection:
        connection.sendall(head + b"\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 100")
        connection.sendall(body)
        assert read_reply(connection).status == 200
    refused = post(b"", RAW | {"Expect": "100-continue", "Content-Length": "9999999"})
    assert server.send(refused).status == 413


def test_further_connections_are_refused(server):
    idle = [server.connect() for _ in range(16)]
    try:
        answer = server.get("/health")
        assert answer.status == 503 and answer.headers["retry-after"] == "1"
        assert answer.json.keys() == {"detail"}
    finally:
        for connection in idle:
            connection.close()
    deadline = time.monotonic() + 5
    while (status := server.get("/health").status) != 200 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert status == 200


def test_clients_that_do_not_read_are_cut_off(server):
    """The metrics, asked for until the answers fill all buffers."""
    begin = time.monotonic()
    with server.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        request = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
        with pytest.raises((ConnectionError, TimeoutError)):
            while time.monotonic() < begin + 15:
                connection.sendall(request * 100)
                time.sleep(0.01)
    deadline = time.monotonic() + 5
    while server.server.server_state.connections and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not server.server.server_state.connections


def test_half_a_request_leaves_nothing_behind(server):
    for cut in (10, 60, 200):
        with server.connect() as connection:
            connection.sendall(post(form(part(png())))[:cut])
    deadline = time.monotonic() + 5
    while server.server.server_state.connections and time.monotonic() < deadline:
        time.sleep(0.02)
    assert server.service._active == 0 and not server.server.server_state.connections
    assert server.service._bodies._free == server.service.limits.bytes_in_memory
