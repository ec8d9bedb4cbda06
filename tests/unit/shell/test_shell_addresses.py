"""Who asks: only a front server that is trusted is believed about it."""

from ipaddress import ip_network

import pytest

from hiepdong.shell.addresses import behind

OURS = [ip_network(n) for n in ("127.0.0.0/8", "10.20.0.5/32", "fd00::/8")]


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        ("127.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("127.0.0.1", "198.51.100.1, 203.0.113.9", "203.0.113.9"),  # what the asker wrote before it
        ("127.0.0.1", "198.51.100.1, 203.0.113.9, 10.20.0.5", "203.0.113.9"),  # two front servers
        ("127.0.0.1", "127.0.0.1, 127.0.0.1", "127.0.0.1"),  # a program on the same machine
        ("::ffff:127.0.0.1", "203.0.113.9:51234", "203.0.113.9"),
        ("fd00::1", "[2001:db8::7]:443", "2001:db8::7"),
        ("fd00::1", "2001:DB8::7", "2001:db8::7"),
        ("127.0.0.1", "203.0.113.9, unknown", "127.0.0.1"),
        ("127.0.0.1", "203.0.113.9,", "127.0.0.1"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("203.0.113.9", "127.0.0.1", "203.0.113.9"),
        ("203.0.113.9", "10.20.0.5, 198.51.100.1", "203.0.113.9"),
        ("10.20.0.6", "198.51.100.1", "10.20.0.6"),
        ("", "198.51.100.1", ""),  # a socket file has no address
    ],
)
def test_the_nearest_address_that_is_no_front_server_of_ours_counts(peer, forwarded, found):
    assert behind(OURS, peer, forwarded) == found


def test_with_no_front_server_named_nothing_that_is_forwarded_is_read():
    assert behind([], "127.0.0.1", "203.0.113.9") == "127.0.0.1"


def test_a_chain_without_end_is_walked_only_a_little():
    assert behind(OURS, "127.0.0.1", "198.51.100.1" + ", 127.0.0.1" * 100_000) == "127.0.0.1"
