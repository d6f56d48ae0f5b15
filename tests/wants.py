"""What each test wants of the machine: (seconds, cores, kind), as run.py measures and prints it when little else runs. A
wrong figure costs time, never a verdict; a file that is missing here runs by itself, as a quiet one.

QUIET is what asserts a time, a rate or that nothing is lost: no build, unit program or fuzzer runs beside it. Where it
could be either, it is quiet."""
from schedule import CROWD, PLAIN, QUIET

E2E = {
    "test_revocation": (136, 0.2, QUIET),
    "test_rekey": (128, 0.4, QUIET),
    "test_rekey_ours": (128, 0.4, QUIET),
    "test_ovpn_flood": (122, 1.4, QUIET),
    "test_main_job": (110, 0.8, QUIET),
    "test_ovpn_rekey": (87, 0.6, QUIET),
    "test_ovpn_rekey_ours": (87, 0.6, QUIET),
    "test_api_load": (84, 1.4, QUIET),
    "test_garbage": (42, 0.5, QUIET),
    "test_controlplane_restart": (39, 0.3, QUIET),
    "test_dataplane_restart": (31, 0.4, QUIET),
    "test_ovpn_dataplane_restart": (38, 0.3, QUIET),
    "test_outer": (16, 0.4, QUIET),
    "test_ovpn_tcp_hostile": (22, 0.2, QUIET),
    "test_wire": (20, 0.3, QUIET),
    "test_events": (17, 0.3, QUIET),
    "test_proxy": (10, 0.5, QUIET),
    "test_offloads": (13, 0.8, QUIET),
    "test_aead": (10, 0.8, QUIET),
    "test_bench": (13, 1.2, QUIET),
    "test_storage": (10, 0.5, QUIET),
    "test_ovpn_load test_ovpn_epochs test_scale test_metrics test_traffic": (20, 0.6, QUIET),
    "test_ovpn_refused": (104, 0.2, PLAIN),
    "test_ovpn_half_open": (80, 0.1, PLAIN),
    "test_make_up": (63, 0.9, PLAIN),
    "test_isolation": (48, 0.2, PLAIN),
    "test_crash_writes": (39, 0.8, PLAIN),
    "test_ovpn_connects": (37, 0.2, PLAIN),
    "test_api_framing": (33, 0.2, PLAIN),
    "test_api_basics": (22, 0.4, PLAIN),
    "test_package": (16, 0.8, PLAIN),
    "test_health test_monitoring": (12, 0.5, PLAIN),
    "test_openapi": (15, 0.9, PLAIN),
    "test_api_matrix": (14, 0.9, PLAIN),
    "test_cli": (13, 0.6, PLAIN),
    "test_ovpn_switch": (12, 0.4, PLAIN),
    "test_start test_privileges test_secrets test_idempotency test_invites test_audit test_backup test_settings_totp "
    "test_hostile_names": (22, 0.9, PLAIN),
}
WEB = {
    "test_memory": (65, 0.4, QUIET),
    "test_looks": (29, 0.9, PLAIN),
    "test_story": (22, 0.9, PLAIN),
    "test_hostile": (15, 0.9, PLAIN),
    "test_restart": (12, 0.7, PLAIN),
    "test_many": (9, 1.0, QUIET),
    "test_serving": (3, 0.7, PLAIN),
}
IMAGES = (240, 2.5, CROWD)  # alone on two cores: unit programs run in it, beside its own compiler
STORY = ["test_settings", "test_story", "test_trouble"]  # in this order, on one engine
CONTAINERS = (140, 0.6, QUIET)
OTHER_FILE = (30, 1.0, QUIET)

# Unit programs: (seconds, cores). The long ones wait for real deadlines.
UNIT = {
    "test_coordinator": (20, 0.1),
    "test_slow_clients": (12, 0.1),
    "test_login": (10, 1.0),
    "test_slow_answers": (8, 0.1),
    "test_ovpn_pair": (6, 1.0),
    "test_second_factor": (5, 1.0),
    "test_netconf_ns": (5, 0.2),
    "test_tun": (5, 0.1),
    "test_https": (4, 0.1),
    "test_password": (3, 1.0),
}
OTHER_UNIT = (1, 0.5)
