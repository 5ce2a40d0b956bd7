"""Ports: free, distinct, and the same from start to start where that is possible."""

import socket

from strongroom.embedded.addresses import LOOPBACK, choose_ports, listening


def test_every_purpose_gets_a_port_of_its_own():
    ports = choose_ports([f"purpose{number}" for number in range(50)], previous={})
    assert len(set(ports.values())) == 50


def test_a_port_of_the_last_start_is_taken_again():
    first = choose_ports(["a", "b"], previous={})
    assert choose_ports(["a", "b"], previous=first) == first


def test_a_port_that_somebody_else_uses_is_left_to_them():
    with socket.create_server((LOOPBACK, 0)) as other:
        taken = other.getsockname()[1]
        assert choose_ports(["a"], previous={"a": taken})["a"] != taken


def test_a_running_parts_port_stays_though_it_is_in_use():
    with socket.create_server((LOOPBACK, 0)) as ours:
        port = ours.getsockname()[1]
        assert choose_ports(["a", "b"], previous={"a": port}, in_use=["a"])["a"] == port


def test_a_port_says_whether_somebody_listens():
    with socket.create_server((LOOPBACK, 0)) as server:
        port = server.getsockname()[1]
        assert listening(port)
    assert not listening(port)
