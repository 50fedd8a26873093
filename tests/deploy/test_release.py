"""``make release-check``, in repositories of the test's own."""

import subprocess
from pathlib import Path

import pytest

from deploy import release

CHANGELOG = """# Changelog

## [Unreleased]

## [1.2.3] - 2027-01-31

- Something new.

## [1.2.2] - 2027-01-01

- Old.
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """One that can be released."""
    (tmp_path / "tickfleet").mkdir()
    write(tmp_path, "tickfleet/version.py", 'VERSION = "1.2.3"\n')
    write(tmp_path, "pyproject.toml", '[project]\ndependencies = ["h11", "tickfleet-x", "tickfleet==1.2.3"]\n')
    write(tmp_path, "CHANGELOG.md", CHANGELOG)
    git(tmp_path, "init", "-q")
    commit(tmp_path)
    return tmp_path


def write(root: Path, name: str, text: str) -> None:
    (root / name).write_text(text, encoding="utf-8")


def git(root: Path, *arguments: str) -> None:
    name = ["-c", "user.name=Test", "-c", "user.email=test@localhost"]
    subprocess.run(["git", *name, *arguments], cwd=root, check=True, capture_output=True)


def commit(root: Path) -> None:
    git(root, "add", "-A")
    git(root, "commit", "-q", "--allow-empty", "-m", "A change")


def check(root: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = release.main(root)
    return code, "".join(capsys.readouterr())


def test_what_can_be_released_is_told_its_tag(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(project, capsys) == (0, "ready: git tag -a v1.2.3 -m 'tickfleet 1.2.3'\n")


@pytest.mark.parametrize(
    ("file", "old", "new", "trouble"),
    [
        (
            "pyproject.toml",
            "tickfleet==1.2.3",
            "tickfleet==1.2.2",
            "pyproject.toml requires ['tickfleet==1.2.2'], must be ['tickfleet==1.2.3'] as tickfleet/version.py has it",
        ),
        (
            "CHANGELOG.md",
            "[1.2.3]",
            "[1.3.0]",
            "CHANGELOG.md must begin with the sections [Unreleased] and [1.2.3], it has: Unreleased, 1.3.0, 1.2.2",
        ),
        (
            "CHANGELOG.md",
            "## [Unreleased]\n",
            "## [Unreleased]\n\n- Later.\n",
            "CHANGELOG.md: what is under [Unreleased] belongs under [1.2.3]",
        ),
        ("CHANGELOG.md", "- Something new.\n", "", "CHANGELOG.md: [1.2.3] says nothing"),
        ("tickfleet/version.py", "1.2.3", "1.2", 'tickfleet/version.py has no line VERSION = "MAJOR.MINOR.PATCH"'),
    ],
)
def test_what_does_not_agree_is_named(
    project: Path, capsys: pytest.CaptureFixture[str], file: str, old: str, new: str, trouble: str
) -> None:
    text = (project / file).read_text(encoding="utf-8")
    assert text.count(old) == 1
    write(project, file, text.replace(old, new))
    commit(project)
    assert check(project, capsys) == (1, f"release: {trouble}\n")


def test_a_section_has_a_date(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for day in ("", " - 2027-02-30", " - soon"):
        write(project, "CHANGELOG.md", CHANGELOG.replace(" - 2027-01-31", day))
        commit(project)
        code, said = check(project, capsys)
        assert code == 1
        assert said.startswith("release: CHANGELOG.md: [1.2.3] has no date: ## [1.2.3] - 20")


def test_only_what_is_committed_and_new_is_released(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    git(project, "tag", "v1.2.3")
    write(project, "more.txt", "")
    assert check(project, capsys) == (
        1,
        "release: there are changes that are not committed\n"
        "release: the tag v1.2.3 is there already: a release gets a new version\n",
    )


def test_the_versions_of_this_checkout_agree() -> None:
    version = release.ROOT / "tickfleet" / "version.py"
    found = release._VERSION.search(version.read_text(encoding="utf-8"))
    assert found
    assert release.requirement(release.ROOT, found[1]) == []
