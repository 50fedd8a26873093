from common.config.manager_limits import Tuning
from manager.settings import ManagerSettings, tuned


def test_what_the_fleet_file_sets_outranks_the_defaults() -> None:
    settings = tuned(Tuning(silent_confirm_s=5.0, starting_max=3), ManagerSettings(grace_s=7.0))
    assert settings == ManagerSettings(grace_s=7.0, silent_confirm_s=5.0, starting_max=3)


def test_the_fleet_file_knows_the_settings_by_their_own_names() -> None:
    assert set(Tuning.__struct_fields__) <= set(ManagerSettings.__struct_fields__)
