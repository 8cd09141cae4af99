"""Where the key and the address come from, and what a `.env` file of somebody else can't do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.access import Access, check_address, find_access
from pipeline.errors import UsageError
from tests.running import Job, job, pipeline, texts
from tests.server import Server

ENV = "http://environment.test/v1"
FILE = "http://file.test/v1"


@pytest.fixture
def two(tmp_path: Path, server: Server) -> Job:
    return job(tmp_path, server, texts(2))


def write(folder: Path, *lines: str) -> Path:
    file = folder / ".env"
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return file


def found(folder: Path, **environ: str) -> Access:
    return find_access(environ=environ, folder=folder)


# Which comes first


def test_an_argument_comes_before_the_environment_and_that_before_the_file(tmp_path: Path) -> None:
    file = write(tmp_path, "OPENAI_API_KEY=sk-file", f"OPENAI_BASE_URL={FILE}")
    environ = {"OPENAI_API_KEY": "sk-environment", "OPENAI_BASE_URL": ENV}
    given = find_access(api_key="sk-given", base_url=FILE, environ=environ, folder=tmp_path)
    assert given == Access("sk-given", FILE)
    assert found(tmp_path, **environ) == Access("sk-environment", ENV)
    assert found(tmp_path) == Access(
        "sk-file", FILE, warning=f"using the key and the server {FILE} in {file}", account=False
    )


@pytest.mark.parametrize("blank", ["", " ", "\r\n", '""'])
def test_a_blank_variable_hides_nothing(tmp_path: Path, blank: str) -> None:
    write(tmp_path, "OPENAI_API_KEY=sk-file", f"OPENAI_BASE_URL={FILE}")
    access = found(tmp_path, OPENAI_API_KEY=blank, OPENAI_BASE_URL=blank)
    assert (access.api_key, access.base_url) == ("sk-file", FILE)


def test_an_address_of_the_file_is_for_the_key_of_the_file_only(tmp_path: Path) -> None:
    file = write(tmp_path, f"OPENAI_BASE_URL={FILE}")
    access = found(tmp_path, OPENAI_API_KEY="sk-mine")
    assert access == Access(
        "sk-mine",
        None,
        (f"ignoring OPENAI_BASE_URL in {file}: the key is not from that file (use --base-url)",),
    )
    with pytest.raises(UsageError, match="has OPENAI_BASE_URL but no OPENAI_API_KEY"):
        found(tmp_path)
    assert found(tmp_path, OPENAI_BASE_URL=ENV) == Access(None, ENV)


def test_the_key_of_the_file_goes_to_the_server_that_the_user_names(tmp_path: Path) -> None:
    file = write(tmp_path, "OPENAI_API_KEY=sk-file", f"OPENAI_BASE_URL={FILE}")
    access = found(tmp_path, OPENAI_BASE_URL=ENV)
    assert access == Access("sk-file", ENV, (f"using the key in {file}",))


def test_without_a_key_and_a_file_there_is_none(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()  # a virtual environment
    assert found(tmp_path) == Access()


def test_the_key_is_in_no_repr() -> None:
    assert "sk-secret" not in repr(Access("sk-secret"))


# What the file can't do


def test_nothing_of_the_file_gets_into_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_MINE", "sk-secret")
    before = dict(os.environ)
    write(
        tmp_path,
        "LD_PRELOAD=./evil.so",
        "PYTHONPATH=.",
        "HTTPS_PROXY=http://evil.test:8080",
        "SSL_CERT_FILE=evil.pem",
        "OPENAI_API_KEY=${SECRET_OF_MINE}",
    )
    assert found(tmp_path).api_key == "${SECRET_OF_MINE}"
    assert dict(os.environ) == before


def test_a_proxy_in_the_file_reads_nothing_along(two: Job) -> None:
    with Server() as evil:
        write(
            two.folder,
            "OPENAI_API_KEY=sk-file",
            f"OPENAI_BASE_URL={evil.base_url}",
            f"HTTP_PROXY=http://127.0.0.1:{evil.base_url.rpartition(':')[2].partition('/')[0]}",
        )
        mine = pipeline(*two.arguments("-q"), folder=two.folder, OPENAI_API_KEY="sk-mine")
        assert (mine.code, mine.err, evil.tally.answered) == (0, "", 0)


def test_even_a_quiet_run_says_that_the_file_names_the_server(two: Job, server: Server) -> None:
    file = write(two.folder, "OPENAI_API_KEY=sk-x", f"OPENAI_BASE_URL={server.base_url}")
    command = ["run", "in.csv", "-p", "ask.prompty", "-o", "out.csv", "--price", "1,2", "-q"]
    ended = pipeline(*command, folder=two.folder)
    assert (ended.code, server.tally.answered) == (0, 2)
    assert ended.lines == [f"using the key and the server {server.base_url} in {file}"]


ACCOUNT = {
    "OPENAI_ORG_ID": "org-mine",
    "OPENAI_PROJECT_ID": "proj-mine",
    "OPENAI_CUSTOM_HEADERS": "X-Gateway-Key: of-the-gateway\nAuthorization: Bearer of-mine",
}


def test_nothing_of_the_users_account_goes_to_a_server_that_the_file_names(
    two: Job, server: Server
) -> None:
    write(two.folder, "OPENAI_API_KEY=sk-file", f"OPENAI_BASE_URL={server.base_url}")
    command = ["run", "in.csv", "-p", "ask.prompty", "-o", "out.csv", "--price", "1,2"]
    assert pipeline(*command, folder=two.folder, **ACCOUNT).code == 0
    for record in server.tally.records:
        assert "mine" not in record.head and "gateway" not in record.head.lower()
        assert record.header("authorization") == "Bearer sk-file"


def test_the_users_account_goes_to_the_server_that_the_user_names(two: Job, server: Server) -> None:
    assert pipeline(*two.arguments(), folder=two.folder, **ACCOUNT).code == 0
    (record, _) = server.tally.records
    assert record.header("x-gateway-key") == "of-the-gateway"
    assert record.header("openai-organization") == "org-mine"


def test_a_run_says_which_file_its_key_is_of(two: Job, server: Server) -> None:
    server.change(require_key="sk-file")
    file = write(two.folder, "OPENAI_API_KEY=sk-file")
    ended = pipeline(*two.arguments(), folder=two.folder, OPENAI_API_KEY="")
    assert ended.code == 0
    assert ended.lines.count(f"using the key in {file}") == 1
    assert "sk-file" not in ended.err


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_file_that_is_a_pipe_or_a_device_is_a_line(two: Job) -> None:
    file = two.folder / ".env"
    os.mkfifo(file)
    line = f"error: {file} is not a regular file: replace it or set OPENAI_API_KEY"
    ended = pipeline(*two.arguments(), folder=two.folder)
    assert (ended.code, ended.lines) == (2, [line])
    file.unlink()
    file.symlink_to("/dev/zero")
    with pytest.raises(UsageError, match="is not a regular file"):
        found(two.folder)
    assert found(two.folder, OPENAI_API_KEY="sk-mine") == Access("sk-mine")


def test_a_file_that_is_huge_or_no_text_is_a_line(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_bytes(b"OPENAI_API_KEY=sk-file\n" * 10_000)
    with pytest.raises(UsageError, match="is too large for a file of settings"):
        found(tmp_path)
    file.write_bytes(bytes(range(256)) * 10)
    with pytest.raises(UsageError, match="can't read"):
        found(tmp_path)


# Keys and addresses that can't be


@pytest.mark.parametrize(
    "written",
    ["sk-lab", " sk-lab\r\n", "“sk-lab”", "'sk-lab'", "Bearer sk-lab", "bearer  “sk-lab”\u200b"],
)
def test_what_was_copied_along_with_a_key_is_left_out(tmp_path: Path, written: str) -> None:
    assert found(tmp_path, OPENAI_API_KEY=written).api_key == "sk-lab"


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("sk-…abc", "is shortened: it has an ellipsis in it"),
        ("sk-...", "is shortened: it has an ellipsis in it"),
        ("sk-abc def", "has a space or a line break in it"),
        ("sk-abc\nX-Evil: 1", "has a space or a line break in it"),
        ("sk-ключ", "has a character in it that no key has"),
        ("sk-a’b", "has a character in it that no key has"),
        ("sk-a\0b", "has a character in it that no key has"),
    ],
)
def test_a_key_that_can_be_none_is_refused_without_showing_it(
    tmp_path: Path, written: str, problem: str
) -> None:
    with pytest.raises(UsageError) as caught:
        found(tmp_path, OPENAI_API_KEY=written)
    assert str(caught.value) == f"OPENAI_API_KEY {problem}; copy the whole key again"
    file = write(tmp_path, f'OPENAI_API_KEY="{written}"')
    with pytest.raises(UsageError) as caught:
        found(tmp_path)
    assert str(caught.value) == f"OPENAI_API_KEY in {file} {problem}; copy the whole key again"


def test_nothing_is_sent_with_such_a_key(two: Job, server: Server) -> None:
    ended = pipeline(*two.arguments(), folder=two.folder, OPENAI_API_KEY="sk-…abc")
    assert (ended.code, len(ended.lines), len(server.tally.records)) == (2, 1, 0)
    assert "abc" not in ended.err


@pytest.mark.parametrize(
    ("name", "written"),
    [
        *(("OPENAI_ORG_ID", text) for text in ("“org-1”", "org-1\nX-Evil: 1", "org-1\r")),
        *(("OPENAI_PROJECT_ID", text) for text in ("“org-1”", "org-1\nX-Evil: 1", "org-1\r")),
        *(("OPENAI_CUSTOM_HEADERS", text) for text in ("X-A: “b”", "X-A: b\nX-B: c\r")),
    ],
)
def test_an_account_that_cannot_be_sent_is_a_line(
    two: Job, server: Server, name: str, written: str
) -> None:
    ended = pipeline(*two.arguments(), folder=two.folder, **{name: written})
    line = f"error: {name} has a character in it that can't be sent; copy it again"
    assert (ended.code, ended.lines, len(server.tally.records)) == (2, [line], 0)


def test_an_address_is_taken_without_the_space_around_it(two: Job, server: Server) -> None:
    arguments = two.arguments()
    arguments[arguments.index(server.base_url)] = f"{server.base_url} "
    assert pipeline(*arguments, folder=two.folder).code == 0


@pytest.mark.parametrize(
    "written",
    ["http://", "http://a b/v1", "http://host:port/v1", "http://[::1/v1", "http://a\n/v1"],
)
def test_an_address_that_is_none_is_a_line(tmp_path: Path, written: str) -> None:
    with pytest.raises(UsageError, match="not an address; check its host and port"):
        find_access(base_url=written, environ={}, folder=tmp_path)


@pytest.mark.parametrize(
    "path",
    ["/chat/completions", "/chat/completions/", "/Chat/Completions", "/completions", "/responses"],
)
def test_the_path_of_a_request_is_no_part_of_the_address(path: str) -> None:
    assert check_address(f"http://host/v1{path} ", "--base-url") == "http://host/v1"


def test_a_query_stays_with_the_address() -> None:
    url = check_address("https://host/v1/chat/completions?api-version=1", "--base-url")
    assert url == "https://host/v1?api-version=1"
