from deploy.contract.__main__ import REFERENCE
from deploy.contract.channels import CHANNELS
from deploy.contract.messages import MESSAGES
from deploy.contract.reference import with_tables

PAGE = "Before.\n\n<!-- made: keys -->\nformer text\n<!-- end -->\n\nAfter.\n"


def test_a_table_replaces_what_was_between_its_comments() -> None:
    filled = with_tables(PAGE)
    assert filled.startswith("Before.\n\n<!-- made: keys -->\n\n| key | type | kept | what |\n")
    assert filled.endswith("|\n\n<!-- end -->\n\nAfter.\n")
    assert "former text" not in filled
    assert with_tables(filled) == filled


def test_a_row_says_what_a_key_holds() -> None:
    row = "| `md:v1:fleet:manager` | hash | 10 s | The manager's own heartbeat."
    assert f"{row} Holds: [manager_heartbeat](#heartbeat-of-the-manager). |\n" in with_tables(PAGE)


def test_the_page_is_what_the_code_says() -> None:
    """``make contract`` renews it."""
    page = REFERENCE.read_text(encoding="utf-8")
    assert with_tables(page) == page
    assert page.count("\n| `md:v1:") == len(CHANNELS)
    assert [name for name, message in MESSAGES.items() if f"\n### {message.title}\n" not in page] == []
    assert "| `seq` | integer | at times | The exchange's number of this state, if it gives one. |" in page
    assert "| `price` | decimal |  |" in page
    assert "| `bids` | JSON |  | All levels, best price first. |" in page
    assert "| `cpu_seconds` | number |  |" in page
