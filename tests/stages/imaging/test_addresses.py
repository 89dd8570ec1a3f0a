import ipaddress
import socket

import pytest

from stages.imaging.addresses import ForbiddenAddress, is_public, resolve


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "93.184.216.34", "2606:2800:220:1::1", "64:ff9b::808:808", "2002:808:808::1"],
)
def test_public(address):
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",  # shared by carriers
        "100.100.100.200",  # metadata of Alibaba Cloud
        "169.254.169.254",  # metadata of most clouds
        "168.63.129.16",  # Azure
        "192.0.0.192",  # metadata of Oracle Cloud
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fec0::1",
        "fc00::1",
        "fd00:ec2::254",  # metadata of Amazon
        "ff02::1",
        "2001:db8::1",
        "3fff::1",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "::127.0.0.1",
        "64:ff9b::7f00:1",  # NAT64 of 127.0.0.1
        "64:ff9b:1::808:808",
        "2002:7f00:1::1",  # 6to4 of 127.0.0.1
        "2002:a00:1::1",
        "2001:0:808:808:0:0:80ff:fffe",  # Teredo of 127.0.0.1
    ],
)
def test_not_public(address):
    assert not is_public(ipaddress.ip_address(address))


def test_loopback_only_where_allowed():
    assert is_public(ipaddress.ip_address("127.0.0.1"), allow_loopback=True)
    assert is_public(ipaddress.ip_address("::1"), allow_loopback=True)
    assert not is_public(ipaddress.ip_address("10.0.0.1"), allow_loopback=True)
    assert not is_public(ipaddress.ip_address("169.254.169.254"), allow_loopback=True)


def test_resolve():
    assert "127.0.0.1" in resolve("localhost", 80, allow_loopback=True)
    with pytest.raises(ForbiddenAddress, match=r"localhost leads to (127.0.0.1|::1)"):
        resolve("localhost", 80)
    with pytest.raises(socket.gaierror):
        resolve("no-such-host.invalid", 80)
    with pytest.raises(OSError, match="is no host name"):
        resolve("a" * 70 + ".example", 80)
