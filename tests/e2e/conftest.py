"""What pytest finds here; tests/web takes the same."""
from fixtures import *
from fixtures import _session_gateway
