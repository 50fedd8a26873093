from deploy.contract.docstrings import Description, description, from_table

DOCSTRING = """What it is.

    More of it, in ``two``
    lines.

    | a | b |
    | 1 | 2 |

    Attributes:
        first, second: Two of
            a kind.
        third: It is
            4: a number.

    Raises:
        ValueError: Never.
    """


def test_what_it_is_and_what_its_fields_mean() -> None:
    assert description(DOCSTRING) == Description(
        "What it is.\n\nMore of it, in `two` lines.\n\n| a | b |\n| 1 | 2 |",
        {"first": "Two of a kind.", "second": "Two of a kind.", "third": "It is 4: a number."},
    )


def test_the_part_from_the_first_table_on() -> None:
    assert from_table("Before.\n\n| a |\n| 1 |\n\nBehind ``it``.") == "| a |\n| 1 |\n\nBehind `it`."


def test_no_words_at_all() -> None:
    assert description(None) == Description("", {})
