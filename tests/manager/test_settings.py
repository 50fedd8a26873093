from collector_worker.health.heartbeat import BEAT_EVERY_S
from collector_worker.publish.publisher import Pacing
from common.config.manager_limits import Tuning
from manager.settings import ManagerSettings, tuned
from tickfleet.redis.connection import ANSWER_TIMEOUT_S, CONNECT_TIMEOUT_S


def test_what_the_fleet_file_sets_outranks_the_defaults() -> None:
    settings = tuned(Tuning(silent_confirm_s=5.0, starting_max=3), ManagerSettings(grace_s=7.0))
    assert settings == ManagerSettings(grace_s=7.0, silent_confirm_s=5.0, starting_max=3)


def test_the_fleet_file_knows_the_settings_by_their_own_names() -> None:
    assert set(Tuning.__struct_fields__) <= set(ManagerSettings.__struct_fields__)


def test_a_missing_heartbeat_counts_once_it_could_be_there() -> None:
    """It sees that its connection is dead, waits, connects, and beats."""
    needs_s = ANSWER_TIMEOUT_S + Pacing().retry_cap_s + CONNECT_TIMEOUT_S + BEAT_EVERY_S
    assert needs_s < ManagerSettings().settle_s
