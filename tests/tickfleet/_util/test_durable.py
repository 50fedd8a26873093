from pathlib import Path

from tickfleet._util.durable import make_folder, put_in_place


def test_folders_are_made_as_deep_as_they_are_needed(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


def test_a_file_takes_the_place_of_another(tmp_path: Path) -> None:
    temporary, path = tmp_path / "new", tmp_path / "folder" / "file"
    for text in ("first", "second"):
        temporary.write_text(text, encoding="utf-8")
        put_in_place(temporary, path)
        assert path.read_text(encoding="utf-8") == text
    assert not temporary.exists()
