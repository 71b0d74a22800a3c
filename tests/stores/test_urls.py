"""What ``--state`` may say."""

from pathlib import Path

import pytest
from contract import API, adds, nonces_at

from reconciler.errors import UsageError
from reconciler.stores.base import NEVER_WRITTEN
from reconciler.stores.local import LocalStore
from reconciler.stores.urls import open_store


def _path(where: str) -> str:
    store = open_store(where, 5, API, "w")
    assert isinstance(store, LocalStore)
    return store.path


@pytest.mark.parametrize("form", ["{}", "file://{}", "FILE://{}", "file://localhost{}", "file:{}", "{}/"])
def test_forms_of_a_folder(tmp_path: Path, form: str) -> None:
    folder = str(tmp_path / "my state")
    url = form.format(folder.replace(" ", "%20") if "file" in form.lower() else folder)
    open_store(url, 5, API, "w").commit(adds("a"), NEVER_WRITTEN)
    assert nonces_at(folder) == {"a"}


@pytest.mark.parametrize("name", ["state", "./state", "a:b", "team%20one", "100%", "~x", "-c", "sub/s3:x"])
def test_a_plain_path_is_taken_as_it_is(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert _path(name) == str((tmp_path / name / "team-5.db").resolve())


@pytest.mark.parametrize(
    "url",
    [
        "s3://bucket/key",
        "gs://bucket",
        "az://c",
        "postgresql://user:hunter2@db/x",
        "https://user:hunter2@git/{team_id}",
        "S3://bucket",
        "postgresql:db",
    ],
)
def test_stores_of_later_versions_say_so(url: str) -> None:
    with pytest.raises(UsageError, match="does not have that store") as caught:
        open_store(url, 5, API, "w")
    assert "hunter2" not in f"{caught.value.detail}{caught.value.hint}"


@pytest.mark.parametrize("url", ["http://user:hunter2@git/x", "redis://x", "postgres://x", "ftp://x"])
def test_unknown_schemes_name_the_known(url: str) -> None:
    with pytest.raises(UsageError, match="Unknown kind") as caught:
        open_store(url, 5, API, "w")
    assert "s3://" in caught.value.detail
    assert "hunter2" not in caught.value.detail


@pytest.mark.parametrize(
    "where",
    ["", "a\0b", "file://", "file://state", "file://host/x", "file:///x?y", "file:///x#y", "file://["],
)
def test_what_names_no_folder_is_refused(where: str) -> None:
    with pytest.raises(UsageError, match="location cannot be used"):
        open_store(where, 5, API, "w")


def test_opening_makes_nothing(tmp_path: Path) -> None:
    open_store(str(tmp_path / "state"), 5, API, "w").close()
    assert not (tmp_path / "state").exists()
