"""What each test wants of the machine: (seconds, cores, kind), as run.py measures and prints it when little else runs. A
wrong figure costs time, never a verdict; a file that is missing here runs by itself.

QUIET is what asserts a time, a rate or that nothing is lost: no build, unit program or fuzzer runs beside it. Where it
could be either, it is quiet."""
from schedule import PLAIN, QUIET

E2E = {
    "test_rekey": (128, 0.3, QUIET),
    "test_rekey_ours": (128, 0.3, QUIET),
    "test_ovpn_flood": (122, 1.2, QUIET),
    "test_main_job": (115, 0.8, QUIET),
    "test_revocation": (136, 0.3, QUIET),
    "test_ovpn_rekey": (87, 0.4, QUIET),
    "test_ovpn_rekey_ours": (87, 0.4, QUIET),
    "test_api_load": (84, 1.4, QUIET),
    "test_ovpn_half_open": (80, 0.1, PLAIN),
}
WEB = {
    "test_memory": (65, 0.3, QUIET),
}
OTHER_FILE = (30, 1.0, QUIET)

# Unit programs: (seconds, cores). The long ones wait for real deadlines.
UNIT = {
    "test_server": (31, 0.1),
    "test_coordinator": (20, 0.1),
    "test_login": (10, 1.0),
    "test_ovpn_pair": (6, 1.0),
    "test_second_factor": (5, 1.0),
    "test_netconf_ns": (5, 0.2),
    "test_tun": (5, 0.1),
    "test_password": (3, 1.0),
}
OTHER_UNIT = (1, 0.7)
