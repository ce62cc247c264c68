"""Which URLs and addresses webhooks may have: a table of tricks, and what is fine."""

import pytest

from docmill_shared.webhooks import targets
from docmill_shared.webhooks.targets import Target, TargetRefused

#: Each leads to this machine, into the network or to a cloud's metadata, or may be read as if.
REFUSED = [
    # Numbers that resolvers take for addresses.
    "https://127.0.0.1/",
    "https://127.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.0.0.1/",
    "https://017700000001/",
    "https://0177.0.0.1/",
    "https://0/",
    "https://0.0.0.0/",
    "https://example.0x7f/",
    # Networks that are not public.
    "https://10.0.0.1/",
    "https://172.16.0.1/",
    "https://192.168.0.1/",
    "https://100.64.0.1/",
    "https://198.18.0.1/",
    "https://224.0.0.1/",
    "https://255.255.255.255/",
    # Metadata of clouds.
    "https://169.254.169.254/latest/meta-data/",
    "https://100.100.100.200/",
    "https://168.63.129.16/",
    "https://192.0.0.192/",
    "https://metadata.google.internal/",
    "https://metadata/",
    "https://[fd00:ec2::254]/",
    # IPv6, and IPv4 inside of it.
    "https://[::1]/",
    "https://[::]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[::127.0.0.1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[64:ff9b::169.254.169.254]/",
    "https://[64:ff9b:1::7f00:1]/",
    "https://[2002:7f00:1::]/",
    "https://[2002:808:808::]/",
    "https://[2001:0:7f00:1::]/",
    "https://[fe80::1]/",
    "https://[fe80::1%25eth0]/",
    "https://[fc00::1]/",
    "https://[ff02::1]/",
    # Names of this machine and its network.
    "https://localhost/",
    "https://LOCALHOST/",
    "https://a.localhost/",
    "https://printer.local/",
    "https://postgres.docmill.svc.cluster.local/",
    "https://router.lan/",
    "https://postgres/",
    # Forms that parsers read differently.
    "https://example.org./",
    "https://127.0.0.1./",
    "https://user@example.org/",
    "https://user:password@example.org/",
    "https://example.org:443@127.0.0.1/",
    "https://example.org\\@127.0.0.1/",
    "https://127.0.0.1\\.example.org/",
    "https://example.org#@127.0.0.1/",
    "https://[::1]example.org/",
    "https://exa mple.org/",
    "https://example.org/\r\nHost: 127.0.0.1",
    "https://exam\tple.org/",
    "https://１２７.０.０.１/",
    "https://ⓔxample.org/",
    "https://example。org/",
    "https:///etc/passwd",
    "https://",
    "https:example.org",
    "//example.org/",
    "",
    # Other protocols and ports.
    "http://example.org/",
    "ftp://example.org/",
    "file:///etc/passwd",
    "gopher://example.org/",
    "https://example.org:22/",
    "https://example.org:80/",
    "https://example.org:25/",
    "https://example.org:0/",
    "https://example.org:65536/",
    "https://example.org:4_43/",
    "https://example.org:/",
    f"https://example.org/{'a' * 2048}",
]


@pytest.mark.parametrize("url", REFUSED)
def test_a_trick_is_refused_with_a_sentence(url: str) -> None:
    with pytest.raises(TargetRefused) as refusal:
        targets.parse(url)
    assert str(refusal.value).endswith(".")


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://example.org", Target(True, "example.org", 443, "/")),
        ("https://Example.org/a%20b?c=d&e", Target(True, "example.org", 443, "/a%20b?c=d&e")),
        ("https://hooks_1.example.org:8443/", Target(True, "hooks_1.example.org", 8443, "/")),
        ("https://xn--bcher-kva.example/", Target(True, "xn--bcher-kva.example", 443, "/")),
        ("https://1.2.3.4.example.org/", Target(True, "1.2.3.4.example.org", 443, "/")),
        ("https://8.8.8.8/", Target(True, "8.8.8.8", 443, "/")),
        ("https://[2606:4700::1111]/", Target(True, "2606:4700::1111", 443, "/")),
        ("https://[64:ff9b::808:808]/", Target(True, "64:ff9b::808:808", 443, "/")),
    ],
)
def test_what_is_public_is_fine(url: str, target: Target) -> None:
    assert targets.parse(url) == target


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080/", "http://localhost/", "https://[::1]/"])
def test_in_development_this_machine_is_fine_too(url: str) -> None:
    assert targets.parse(url, allow_private=True).path == "/"


@pytest.mark.parametrize("url", ["https://2130706433/", "https://user@localhost/", "ftp://x/"])
def test_a_form_that_is_not_plain_is_refused_even_then(url: str) -> None:
    with pytest.raises(TargetRefused):
        targets.parse(url, allow_private=True)


def test_every_address_of_a_name_must_be_public() -> None:
    targets.require_public(["8.8.8.8", "2606:4700::1111"])
    for addresses in ([], ["8.8.8.8", "127.0.0.1"], ["::ffff:10.0.0.1"], ["fe80::1%eth0"], ["x"]):
        with pytest.raises(TargetRefused):
            targets.require_public(addresses)
