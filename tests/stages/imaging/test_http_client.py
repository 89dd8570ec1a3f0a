import asyncio
import itertools
import socket
import ssl
import threading

import pytest

from schemas.consent import Answer, Asked, Consent
from stages.imaging.addresses import ForbiddenAddress
from stages.imaging.http_client import (
    Elsewhere,
    FetchError,
    HttpClient,
    HttpConfig,
    Quest,
    Trial,
)
from stages.imaging.network import Resolver
from stages.imaging.opt_out import OptOutPolicy
from stages.imaging.refusal import Reason, Refused

AGENT = "testbot/1.0 (+https://example.org/bot)"
CAP = 100_000


def config(**fields):
    defaults = {
        "enabled": True,
        "user_agent": AGENT,
        "deadline": 5.0,
        "backoff": 0.5,
        "host_delay": 0.0,
        "retries": 2,
        "robots": False,
        "tdmrep": False,
        "allow_loopback": True,
    }
    return HttpConfig(**{**defaults, **fields})


class Client:
    """A client with a loop of its own that notes its waits and does not wait."""

    def __init__(self, **fields):
        self.slept = []
        self._runner = asyncio.Runner()
        options = {name: fields.pop(name) for name in ("ours", "tls", "clock") if name in fields}
        self._client = HttpClient(config(**fields), CAP, sleep=self._sleep, **options)

    async def _sleep(self, seconds):
        self.slept.append(seconds)

    def fetch(self, url, **options):
        quest = url if isinstance(url, Quest) else Quest(url)
        return self._runner.run(self._client.fetch(quest, **options))

    def fetch_all(self, urls):
        async def fetch():
            quests = (self._client.fetch(Quest(url)) for url in urls)
            return await asyncio.gather(*quests, return_exceptions=True)

        return self._runner.run(fetch())

    def close(self):
        if self._runner:
            self._runner.run(self._client.__aexit__())
            self._runner.close()
            self._runner = None


@pytest.fixture
def client():
    clients = []

    def make(**fields):
        clients.append(Client(**fields))
        return clients[-1]

    yield make
    for made in clients:
        made.close()


def refusal(client, url, **options):
    with pytest.raises(Refused) as caught:
        client.fetch(url, **options)
    return caught.value


def test_an_image_is_fetched_and_the_agent_says_who_it_is(web, client, png):
    response = client().fetch(web.url("/ok.png#part"))
    assert (response.status, response.body) == (200, png())
    assert ("content-type", "image/png") in response.headers
    assert response.url == web.url("/ok.png")
    assert web.headers["/ok.png"]["User-Agent"] == AGENT
    assert web.headers["/ok.png"]["Host"] == f"127.0.0.1:{web.port}"
    assert "Cookie" not in web.headers["/ok.png"]


def test_a_connection_is_used_again(web, client):
    fetcher = client()
    for _ in range(5):
        fetcher.fetch(web.url("/ok.png"))
    assert web.requests["/ok.png"] == 5
    assert len(web.connections) == 1


def test_what_will_not_change_is_not_asked_for_again(web, client):
    error = refusal(client(), web.url("/missing.png"))
    assert (error.reason, error.detail) == (Reason.HTTP_4XX, "404")
    assert web.requests["/missing.png"] == 1


def test_a_server_error_that_passes_is_waited_for(web, client, png):
    fetcher = client()
    assert fetcher.fetch(web.url("/flaky.png")).body == png()
    assert web.requests["/flaky.png"] == 2
    (wait,) = fetcher.slept
    assert 0.25 <= wait < 0.75
    again = client()
    web.requests.clear()
    again.fetch(web.url("/flaky.png"))
    assert again.slept == fetcher.slept  # spread, but the same in every run


def test_a_server_error_that_stays_is_given_up(web, client):
    web.pages["/broken.png"] = (503, b"", {})
    fetcher = client()
    error = refusal(fetcher, web.url("/broken.png"))
    assert (error.reason, error.detail) == (Reason.HTTP_5XX, "503")
    assert web.requests["/broken.png"] == 3
    assert len(fetcher.slept) == 2
    assert fetcher.slept[1] > fetcher.slept[0] / 3


def test_retry_after_is_honoured(web, client, png):
    fetcher = client()
    assert fetcher.fetch(web.url("/busy.png")).body == png()
    assert fetcher.slept == [7.0]


def test_a_retry_after_that_is_no_number(web, client):
    web.pages["/odd.png"] = (503, b"", {"Retry-After": "\u00b2"})
    assert refusal(client(retries=0), web.url("/odd.png")).reason is Reason.HTTP_5XX


@pytest.mark.parametrize("of", ["bytes 0-9/5000", "bytes 1-9/10", "bytes 0-9/*", ""])
def test_a_part_that_was_not_asked_for_is_no_picture(web, client, of):
    web.pages["/part.png"] = (206, bytes(10), {"Content-Range": of})
    error = refusal(client(), web.url("/part.png"))
    assert (error.reason, web.requests["/part.png"]) == (Reason.CUT_SHORT, 1)
    web.pages["/whole.png"] = (206, bytes(10), {"Content-Range": "bytes 0-9/10"})
    assert client().fetch(web.url("/whole.png")).body == bytes(10)


def test_a_redirect_is_read_as_browsers_do(web, client, png):
    host = web.url("/").partition("://")[2].rstrip("/")
    for to in (f"\\\\{host}\\ok.png", f"///{host}/ok.png", "/a/./%2e%2e/ok.png", " /o\tk.png"):
        web.pages["/moved.png"] = (302, b"", {"Location": to})
        assert client().fetch(web.url("/moved.png")).url == web.url("/ok.png")


def test_retry_after_as_a_date_counts_from_the_servers_clock(web, client):
    date = "Wed, 21 Oct 2015 07:28:{} GMT".format
    web.pages["/later.png"] = (503, b"", {"Retry_After": date("09")})
    fetcher = client(retries=1)
    # The handler's own Date comes first, so this is in the past: the usual wait.
    assert refusal(fetcher, web.url("/later.png")).reason is Reason.HTTP_5XX
    assert 0.25 <= fetcher.slept[0] < 0.75


def test_a_server_that_asks_for_a_day_is_not_asked_again(web, client):
    fetcher = client()
    assert refusal(fetcher, web.url("/busy-for-long.png")).reason is Reason.HTTP_5XX
    assert web.requests["/busy-for-long.png"] == 1
    assert fetcher.slept == []


@pytest.mark.parametrize("path", ["/drip.png", "/drip-headers.png"])
def test_a_server_that_never_ends_meets_the_deadline(web, client, path):
    error = refusal(client(deadline=0.3), web.url(path))
    assert error.reason is Reason.DEADLINE
    assert web.requests[path] == 1


def test_a_server_that_says_nothing_times_out_and_is_asked_again(client):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/x.png"
        fetcher = client(read_timeout=0.1, retries=1)
        assert refusal(fetcher, url).reason is Reason.TIMEOUT
        assert len(fetcher.slept) == 1


def test_the_deadline_holds_for_all_redirects_and_attempts_together(web, client):
    times = itertools.count()  # every look at the clock takes a second
    fetcher = client(deadline=40, max_redirects=100, clock=lambda: next(times))
    assert refusal(fetcher, web.url("/chain.png")).reason is Reason.DEADLINE
    assert web.requests.total() <= 40
    web.pages["/broken.png"] = (503, b"", {})
    fetcher = client(deadline=10, retries=1000, clock=lambda: next(times))
    assert refusal(fetcher, web.url("/broken.png")).reason is Reason.HTTP_5XX
    assert web.requests["/broken.png"] <= 10


def test_a_body_over_the_cap_is_refused_and_not_read_on(web, client):
    assert refusal(client(), web.url("/endless.png")).reason is Reason.TOO_LARGE
    web.pages["/big.png"] = (200, bytes(CAP + 1), {})
    error = refusal(client(), web.url("/big.png"))
    assert (error.reason, error.detail) == (Reason.TOO_LARGE, "100001 bytes announced")
    web.pages["/fits.png"] = (200, bytes(CAP), {})
    assert len(client().fetch(web.url("/fits.png")).body) == CAP


def test_a_coding_that_nobody_asked_for_is_undone_within_the_cap(web, client, png):
    import gzip

    web.pages["/coded.png"] = (200, gzip.compress(png()), {"Content_Encoding": "gzip"})
    assert client().fetch(web.url("/coded.png")).body == png()
    web.pages["/bomb.png"] = (200, gzip.compress(bytes(CAP * 50)), {"Content_Encoding": "gzip"})
    assert refusal(client(), web.url("/bomb.png")).reason is Reason.CONTENT_BOMB
    web.pages["/odd.png"] = (200, b"\x00\x01\x02", {"Content_Encoding": "compress"})
    assert refusal(client(), web.url("/odd.png")).reason is Reason.CONTENT_CODING


def test_a_server_that_hangs_up_is_asked_again(web, client):
    assert refusal(client(retries=1), web.url("/cut-off.png")).reason is Reason.CUT_SHORT
    assert web.requests["/cut-off.png"] == 2


def test_nobody_there(client):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert refusal(client(), f"http://127.0.0.1:{port}/x.png").reason is Reason.CONNECTION


def test_no_such_name(client):
    error = refusal(client(retries=0), "http://no-such-host.invalid/x.png")
    assert error.reason is Reason.DNS


def test_redirects_are_followed_and_end(web, client, png):
    web.pages["/moved.png"] = (301, b"", {"Location": "/ok.png"})
    response = client().fetch(web.url("/moved.png"))
    assert (response.url, response.body) == (web.url("/ok.png"), png())
    assert refusal(client(), web.url("/loop.png")).reason is Reason.REDIRECT_LOOP
    assert web.requests["/loop.png"] == 1
    assert refusal(client(), web.url("/chain.png")).reason is Reason.TOO_MANY_REDIRECTS
    assert sum(web.requests[path] for path in web.requests if "chain" in path) == 6


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("file:///etc/hostname", Reason.SCHEME),
        ("ftp://127.0.0.1/x.png", Reason.SCHEME),
        ("data:image/png;base64,AAAA", Reason.SCHEME),
        ("http://169.254.169.254/latest/meta-data/", Reason.FORBIDDEN_ADDRESS),
        ("http://10.0.0.1/x.png", Reason.FORBIDDEN_ADDRESS),
        ("http://[fd00:ec2::254]/x.png", Reason.FORBIDDEN_ADDRESS),
        ("http://[::ffff:10.0.0.1]/x.png", Reason.FORBIDDEN_ADDRESS),
        ("http://0.0.0.0/x.png", Reason.FORBIDDEN_ADDRESS),
        ("http://0xa000001:22/x.png", Reason.FORBIDDEN_PORT),
    ],
)
def test_a_redirect_leads_nowhere_that_a_url_may_not(web, client, target, reason):
    web.pages["/away.png"] = (302, b"", {"Location": target})
    error = refusal(client(), web.url("/away.png"))
    assert error.reason is reason
    assert web.requests["/away.png"] == 1
    assert refusal(client(), target).reason is reason


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://", Reason.BAD_URL),
        ("http://127.0.0.1:25/x.png", Reason.FORBIDDEN_PORT),
        ("http://127.0.0.1:0/x.png", Reason.FORBIDDEN_PORT),
        ("https://127.0.0.1:6667/x.png", Reason.FORBIDDEN_PORT),
        ("http://[::1/x.png", Reason.BAD_URL),
        ("http://a:port/x.png", Reason.BAD_URL),
        ("javascript:alert(1)", Reason.SCHEME),
        ("/x.png", Reason.SCHEME),
        ("", Reason.SCHEME),
        ("http://a..b/x.png", Reason.CONNECTION),
        (f"http://{'a' * 300}.example/x.png", Reason.CONNECTION),
    ],
)
def test_a_url_that_leads_nowhere(client, url, reason):
    assert refusal(client(retries=0), url).reason is reason


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "127.1"])
def test_loopback_is_forbidden_unless_allowed(web, client, host):
    error = refusal(client(allow_loopback=False), web.url("/ok.png", host))
    assert error.reason is Reason.FORBIDDEN_ADDRESS
    assert web.requests.total() == 0


@pytest.fixture
def dialled(monkeypatch):
    """The addresses that connections are made to, none of which is reached."""
    found = []

    async def sock_connect(self, sock, address):
        found.append(address[:2])
        raise OSError("no network here")

    monkeypatch.setattr(asyncio.SelectorEventLoop, "sock_connect", sock_connect)
    return found


def test_the_connection_goes_to_the_address_that_was_checked(client, monkeypatch, dialled):
    # A name server that answers the first question with a public address, then with ours.
    answers = iter(["93.184.216.34", "127.0.0.1"])
    asked = []

    def getaddrinfo(host, port, *args, **kwargs):
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    fetcher = client(allow_loopback=False, retries=0)
    for _ in range(2):  # the first answer is kept
        assert refusal(fetcher, "http://rebind.example/x.png").reason is Reason.CONNECTION
    assert dialled == [("93.184.216.34", 80)] * 2
    later = client(allow_loopback=False, retries=0)
    assert refusal(later, "http://rebind.example/x.png").reason is Reason.FORBIDDEN_ADDRESS
    assert len(dialled) == 2
    assert asked == ["rebind.example"] * 2


def test_an_answer_of_the_name_server_is_kept_for_a_while_and_its_silence_is_not(monkeypatch):
    now = [0.0]
    answers = [socket.gaierror(socket.EAI_AGAIN, "busy"), "93.184.216.34", "192.168.0.1"]

    def getaddrinfo(host, port, *args, **kwargs):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (answer, port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    async def ask():
        resolver = Resolver(False, timeout=5.0, keep=60.0, clock=lambda: now[0])
        with pytest.raises(socket.gaierror):
            await resolver.addresses("a.example", 80)
        now[0] = 10.0
        both = await asyncio.gather(*(resolver.addresses("a.example", 80) for _ in range(2)))
        assert both == [["93.184.216.34"]] * 2
        now[0] = 69.0
        assert await resolver.addresses("a.example", 80) == ["93.184.216.34"]
        now[0] = 70.0
        with pytest.raises(ForbiddenAddress):
            await resolver.addresses("a.example", 80)

    asyncio.run(ask())


def test_a_name_server_that_says_nothing_holds_nobody_up(client, monkeypatch):
    silent = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: silent.wait(30))
    error = refusal(client(connect_timeout=0.1, retries=1), "http://a.example/x.png")
    assert (error.reason, error.transient) == (Reason.DNS, True)
    silent.set()


def test_a_name_with_one_private_address_among_public_ones_is_refused(client, monkeypatch):
    def getaddrinfo(host, port, *args, **kwargs):
        addresses = ("93.184.216.34", "192.168.0.1")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, port)) for a in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    assert refusal(client(), "http://mixed.example/x.png").reason is Reason.FORBIDDEN_ADDRESS


@pytest.fixture
def certificate(tmp_path):
    pytest.importorskip("cryptography")
    return _self_signed(tmp_path)


def test_certificates_are_verified(client, certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            with_tls, _ = server.accept()
            try:
                context.wrap_socket(with_tls, server_side=True)
            except (ssl.SSLError, OSError):
                with_tls.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        url = f"https://localhost:{server.getsockname()[1]}/x.png"
        fetcher = client()
        assert refusal(fetcher, url).reason is Reason.TLS
        assert fetcher.slept == []  # it will not pass
        thread.join(5)


def test_http_2_is_spoken_over_one_connection(client, certificate, png):
    from h2.config import H2Configuration
    from h2.connection import H2Connection
    from h2.events import RequestReceived

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    context.set_alpn_protocols(["h2"])
    accepted = []

    def serve(server):
        connection, _ = server.accept()
        accepted.append(connection)
        with context.wrap_socket(connection, server_side=True) as stream:
            h2 = H2Connection(H2Configuration(client_side=False))
            h2.initiate_connection()
            stream.sendall(h2.data_to_send())
            while data := stream.recv(65_536):
                for event in h2.receive_data(data):
                    if isinstance(event, RequestReceived):
                        h2.send_headers(event.stream_id, [(":status", "200")])
                        h2.send_data(event.stream_id, png(), end_stream=True)
                stream.sendall(h2.data_to_send())

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,), daemon=True)
        thread.start()
        trusting = ssl.create_default_context(cafile=certificate[0])
        fetcher = client(tls=trusting, host_concurrency=3)
        url = f"https://localhost:{server.getsockname()[1]}/x.png"
        responses = [fetcher.fetch(url) for _ in range(2)] + fetcher.fetch_all([url] * 3)
        assert [response.body for response in responses] == [png()] * 5
    assert len(accepted) == 1


def _self_signed(folder):
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    start = datetime.datetime(2020, 1, 1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=36_500))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )
    return paths


def test_robots_txt_is_read_once_and_obeyed(web, client):
    web.robots = (200, b"User-agent: testbot\nDisallow: /private/\n\nUser-agent: *\nDisallow: /\n")
    fetcher = client(robots=True)
    fetcher.fetch(web.url("/ok.png"))
    error = refusal(fetcher, web.url("/private/a.png"))
    assert error.reason is Reason.ROBOTS_DISALLOWED
    assert error.detail == f"robots.txt: Disallow: /private/ of {web.url('/private/a.png')}"
    assert dict(web.requests) == {"/robots.txt": 1, "/ok.png": 1}


@pytest.mark.parametrize(
    ("status", "reason"),
    [(404, None), (403, None), (429, Reason.ROBOTS_UNREACHABLE), (503, Reason.ROBOTS_UNREACHABLE)],
)
def test_a_robots_txt_that_cannot_be_had(web, client, status, reason):
    web.robots = (status, b"")
    if reason is None:
        assert client(robots=True).fetch(web.url("/ok.png")).status == 200
    else:
        assert refusal(client(robots=True), web.url("/ok.png")).reason is reason
        assert web.requests["/ok.png"] == 0


def test_the_config_says_what_a_robots_txt_stands_for_that_cannot_be_had(web, client):
    web.robots = (503, b"")
    fetcher = client(robots=True, robots_unreachable="allow")
    assert fetcher.fetch(web.url("/ok.png")).status == 200


def test_who_was_asked_for_leave_and_what_was_said_is_kept(web, client, png):
    web.robots = (200, b"User-agent: *\nDisallow: /private/\nAllow: /private/ok*\n")
    rules = b'[{"location": "/private", "tdm-reservation": 0}]'
    web.pages["/.well-known/tdmrep.json"] = (200, rules, {})
    web.pages["/private/ok.png"] = (200, png(), {})
    web.pages["/moved.png"] = (302, b"", {"Location": "/private/ok.png"})
    both = {"robots": True, "tdmrep": True}
    silent = tuple(Consent(asked, Answer.SILENT) for asked in (Asked.ROBOTS_TXT, Asked.TDMREP))
    allowed = (
        Consent(Asked.ROBOTS_TXT, Answer.ALLOWED, "Allow: /private/ok*"),
        Consent(Asked.TDMREP, Answer.ALLOWED, "/private 0"),
    )
    fetcher = client(**both)
    assert fetcher.fetch(web.url("/ok.png")).consent == silent
    assert fetcher.fetch(web.url("/moved.png")).consent == allowed  # of where it led
    assert client().fetch(web.url("/ok.png")).consent == ()
    web.robots = (503, b"")
    del web.pages["/.well-known/tdmrep.json"]
    assert client(**both, robots_unreachable="allow").fetch(web.url("/ok.png")).consent == (
        Consent(Asked.ROBOTS_TXT, Answer.UNREACHABLE, "status 503"),
        Consent(Asked.TDMREP, Answer.SILENT, "status 404"),
    )


def test_reservations_of_a_site_are_read_once_and_obeyed(web, client, png):
    rules = b'[{"location": "/", "tdm-reservation": 0}, {"location": "/a*", "tdm-reservation": 1}]'
    web.pages["/.well-known/tdmrep.json"] = (200, rules, {"kind": "application/json"})
    web.pages["/a.png"] = (200, png(), {})
    web.pages["/moved.png"] = (302, b"", {"Location": "/a.png"})
    fetcher = client(tdmrep=True)
    fetcher.fetch(web.url("/ok.png"))
    for path in ("/a.png", "/moved.png"):
        error = refusal(fetcher, web.url(path))
        assert error.reason is Reason.OPTED_OUT
        assert error.detail == "/.well-known/tdmrep.json: /a* 1"
    assert dict(web.requests) == {"/.well-known/tdmrep.json": 1, "/ok.png": 1, "/moved.png": 1}


@pytest.mark.parametrize("status", [404, 503])
def test_a_site_without_reservations_reserves_nothing(web, client, status):
    web.pages["/.well-known/tdmrep.json"] = (status, b"", {})
    assert client(tdmrep=True).fetch(web.url("/ok.png")).status == 200


def test_the_target_of_a_redirect_is_held_to_robots_txt(web, client):
    web.robots = (200, b"User-agent: *\nDisallow: /ok.png\n")
    web.pages["/moved.png"] = (301, b"", {"Location": "/ok.png"})
    error = refusal(client(robots=True), web.url("/moved.png"))
    assert error.reason is Reason.ROBOTS_DISALLOWED
    assert web.requests["/ok.png"] == 0


class Clock:
    """A clock that a client's waits move on."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def waiting(clock, **fields):
    fetcher = Client(clock=clock, **fields)

    async def sleep(seconds):
        fetcher.slept.append(round(seconds, 3))
        clock.now += seconds

    fetcher._client._sleep = sleep
    return fetcher


def test_crawl_delay_and_host_delay_are_waited_for(web):
    web.robots = (200, b"User-agent: *\nCrawl-delay: 4\n")
    fetcher = waiting(Clock(), robots=True, host_delay=1.0)
    for _ in range(3):
        fetcher.fetch(web.url("/ok.png"))
    assert fetcher.slept == [4.0, 4.0]
    fetcher.close()
    clock = Clock()
    fetcher = waiting(clock, host_delay=1.0)
    fetcher.fetch(web.url("/ok.png"))
    clock.now += 0.25
    fetcher.fetch(web.url("/ok.png"))
    assert fetcher.slept == [0.75]
    fetcher.close()


@pytest.mark.parametrize(
    ("robots", "fields", "most"),
    [
        (b"", {}, 1),
        (b"", {"host_concurrency": 3}, 3),
        (b"", {"host_concurrency": 3, "address_concurrency": 2}, 2),
        (b"User-agent: *\nCrawl-delay: 0.001\n", {"host_concurrency": 3}, 1),
    ],
)
def test_so_many_requests_are_open_at_a_host_and_no_more(web, client, png, robots, fields, most):
    web.robots = (200, robots)
    urls = [web.url(f"/slow.png?{number}") for number in range(9)]
    found = client(robots=True, **fields).fetch_all(urls)
    assert [response.body for response in found] == [png()] * 9
    assert web.most_open == most


def test_a_crawl_delay_that_is_too_long_leaves_the_host_alone(web, client):
    web.robots = (200, b"User-agent: *\nCrawl-delay: 3600\n")
    assert refusal(client(robots=True), web.url("/ok.png")).reason is Reason.CRAWL_DELAY


def test_headers_are_checked_before_the_body_is_read(web, client):
    web.pages["/no.png"] = (200, bytes(10), {"X_Robots_Tag": "noai, max-snippet:-1"})

    def check(headers):
        OptOutPolicy().check(headers, user_agents=("testbot",))

    error = refusal(client(), web.url("/no.png"), check=check)
    assert (error.reason, error.detail) == (
        Reason.OPTED_OUT,
        "x-robots-tag: noai, max-snippet:-1",
    )
    assert not isinstance(error, FetchError)


@pytest.mark.parametrize("robots", [True, False])
def test_a_dead_host_is_left_alone(client, robots):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    fetcher = client(max_host_failures=2, retries=0, robots=robots)
    url = f"http://127.0.0.1:{port}/x.png"
    reasons = [refusal(fetcher, url).reason for _ in range(4)]
    assert reasons == [Reason.CONNECTION] * 2 + [Reason.HOST_DOWN] * 2


def test_an_answer_shows_that_a_host_is_alive(web, client):
    fetcher = client(max_host_failures=2, retries=0, deadline=0.3, read_timeout=0.1)
    for _ in range(3):
        assert refusal(fetcher, web.url("/mute.png")).reason is Reason.TIMEOUT
        assert refusal(fetcher, web.url("/missing.png")).reason is Reason.HTTP_4XX


def test_a_redirect_to_a_host_that_is_not_ours_is_handed_on(web, client, png):
    web.pages["/away.png"] = (302, b"", {"Location": "//localhost/there.png"})
    web.pages["/there.png"] = (302, b"", {"Location": "/ok.png"})
    fetcher = client(ours=lambda url: "localhost" not in url)
    quest = Quest(web.url("/away.png"))
    with pytest.raises(Elsewhere) as caught:
        fetcher.fetch(quest)
    assert caught.value.quest.at == "http://localhost/there.png"
    assert web.requests.total() == 1
    onward = Quest(quest.url, (quest.at, web.url("/there.png")))
    assert client().fetch(onward).body == png()
    assert refusal(client(max_redirects=1), onward).reason is Reason.TOO_MANY_REDIRECTS


def test_what_did_not_change_is_not_sent_again(web, client):
    url = web.url("/tagged.png")
    first = client().fetch(url)
    etag = dict(first.headers)["etag"]
    again = client().fetch(Quest(url, etag=etag))
    assert (again.status, again.body) == (304, b"")
    dated = client().fetch(Quest(url, modified="Wed, 21 Oct 2015 07:28:00 GMT"))
    assert dated.status == 304
    changed = client().fetch(Quest(url, etag='"other"'))
    assert (changed.status, changed.body) == (200, first.body)
    web.pages["/odd.png"] = (304, b"", {})
    assert refusal(client(), web.url("/odd.png")).reason is Reason.HTTP_3XX


def test_how_far_a_quest_came_is_told(web, client):
    web.pages["/broken.png"] = (503, b"", {"Server": "teapot"})
    trial = Trial(0.0, "")
    refusal(client(retries=2), web.url("/broken.png"), trial=trial)
    assert (trial.attempts, trial.status) == (3, 503)
    assert ("server", "teapot") in trial.headers
    assert client().fetch(web.url("/flaky.png")).attempts == 2


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"user_agent": ""}, "must name a contact"),
        ({"user_agent": "Mozilla/5.0"}, "must name a contact"),
        ({"user_agent": "(https://example.org)"}, "no product name"),
        ({"deadline": 0}, "deadline is 0"),
        ({"host_delay": -1}, "host_delay is -1"),
        ({"hosts": 0}, "hosts is 0"),
        ({"host_concurrency": 0}, "host_concurrency is 0"),
        ({"retries": -1}, "below 0"),
    ],
)
def test_config_is_checked(fields, message):
    with pytest.raises(ValueError, match=message):
        config(**fields)
    if "user_agent" in fields:
        config(enabled=False, **fields)


def test_the_product_of_the_user_agent():
    assert config().product == "testbot"
    assert config(user_agent="my-bot (me@example.org)").product == "my-bot"
