"""How much of the limit a burst reaches."""

from tests.bench.shares import add_shares

BURST = {"rows": [{"tls": False, "entries_per_s": 50_000}, {"tls": True, "entries_per_s": 40_000}]}
LIMIT = {
    "redis": [{"way": "pipelined", "entries_per_s": 250_000}, {"way": "transactions", "entries_per_s": 200_000}],
    "reader": [{"tls": False, "frames_per_s": 1_000_000}, {"tls": True, "frames_per_s": 500_000}],
}


def test_a_burst_is_told_as_share_of_both_limits() -> None:
    assert add_shares({"burst": BURST, "limit": LIMIT}) == {
        "burst": {
            "rows": [
                {
                    "tls": False,
                    "entries_per_s": 50_000,
                    "share_of_redis_percent": 20.0,
                    "share_of_reader_percent": 5.0,
                },
                {
                    "tls": True,
                    "entries_per_s": 40_000,
                    "share_of_redis_percent": 16.0,
                    "share_of_reader_percent": 8.0,
                },
            ]
        },
        "limit": {**LIMIT, "burst_share_percent": 20.0},
    }


def test_without_one_of_them_there_is_no_share() -> None:
    assert add_shares({"burst": BURST}) == {"burst": BURST}
