"""Connections that aren't secure, or lead nowhere, end the run at once with what helps."""

from __future__ import annotations

import http.server
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509  # which the S3 server of the tests needs, too
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pipeline.backends.opening import open_lane
from pipeline.backends.servers.trust import trusting
from pipeline.errors import AccessError
from tests.backends.asking import MODEL, complete, completion, request

NAMES = ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"]


@pytest.fixture(autouse=True)
def without_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*NAMES, "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a certificate that signs itself, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("certificate") / "own.pem"
    file.write_bytes(
        signed.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return file


class Answers(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        body = completion()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


class Quiet(http.server.ThreadingHTTPServer):
    def handle_error(self, *args: object) -> None:
        """Who doesn't trust the certificate hangs up."""


@pytest.fixture
def secure_url(certificate: Path) -> Iterator[str]:
    """Answer by TLS, with that certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with Quiet(("127.0.0.1", 0), Answers) as listening:
        listening.socket = context.wrap_socket(
            listening.socket, server_side=True, do_handshake_on_connect=False
        )
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield f"https://127.0.0.1:{listening.server_port}/v1"
        listening.shutdown()
        thread.join()


def test_a_certificate_of_ones_own_ends_the_run_with_what_helps(secure_url: str) -> None:
    with pytest.raises(AccessError, match=r"certificate isn't trusted .* in SSL_CERT_FILE"):
        complete(open_lane(MODEL, base_url=secure_url), request())


@pytest.mark.parametrize("name", NAMES)
def test_a_certificate_that_is_named_is_trusted(
    secure_url: str, certificate: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, str(certificate))
    (answer,) = complete(open_lane(MODEL, base_url=secure_url), request())
    assert answer.content == "hi"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_file_without_certificates_is_named(
    tmp_path: Path, name: str, content: str | None
) -> None:
    file = tmp_path / "own.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(AccessError, match=f"^{name} names .*own.pem, which has no certificates: "):
        trusting({name: str(file)})


def test_a_server_without_tls_is_told() -> None:
    with Quiet(("127.0.0.1", 0), Answers) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        url = f"https://127.0.0.1:{listening.server_port}/v1"
        with pytest.raises(AccessError, match=r"speaks no TLS .* http:// rather than https://"):
            complete(open_lane(MODEL, base_url=url), request())
        listening.shutdown()
        thread.join()


def test_a_host_that_nobody_knows_ends_the_run() -> None:
    host = "no-such-host.invalid"
    try:
        socket.getaddrinfo(host, 80)
    except socket.gaierror as error:
        if error.errno != socket.EAI_NONAME:
            pytest.skip("nobody here can say whether a host is known")
    with pytest.raises(AccessError, match=r"can't be reached: .*; check --base-url"):
        complete(open_lane(MODEL, base_url=f"http://{host}/v1"), request())
