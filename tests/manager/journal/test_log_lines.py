from structlog.testing import capture_logs

from manager.journal.log_lines import log_entries
from manager.model.journal_entries import JournalEntry, What

BTC = "okx:BTC-USDT"


def test_each_change_is_a_line_and_good_news_is_no_warning() -> None:
    def verdict(old: str, new: str) -> JournalEntry:
        details = {"from": old, "to": new}
        return JournalEntry(
            at_ns=1, who="manager", what=What.VERDICT_CHANGED, collector=BTC, why="why", details=details
        )

    outage = JournalEntry(at_ns=1, who="manager", what=What.OUTAGE_BEGAN, why="4 of 5", details={"exchange": "okx"})
    run = JournalEntry(at_ns=1, who="manager", what=What.RUN_SEEN, collector=BTC)
    with capture_logs() as logs:
        log_entries([verdict("healthy", "hung"), run, verdict("hung", "healthy"), outage])

    def line(level: str, old: str, new: str) -> dict[str, str]:
        facts = {"collector": BTC, "why": "why", "from": old, "to": new}
        return {"event": "verdict_changed", "log_level": level, **facts}

    assert logs == [
        line("warning", "healthy", "hung"),
        line("info", "hung", "healthy"),
        {"event": "outage_began", "log_level": "warning", "why": "4 of 5", "exchange": "okx"},
    ]
