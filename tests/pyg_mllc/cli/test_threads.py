import os

import pytest

from pyg_mllc.cli.threads import SPINS, share_cores

NAMES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


@pytest.mark.parametrize(
    "users, expected",
    [
        ({}, {"GOMP_SPINCOUNT": SPINS}),
        ({"GOMP_SPINCOUNT": "7"}, {"GOMP_SPINCOUNT": "7"}),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, {"OMP_WAIT_POLICY": "ACTIVE"}),
    ],
)
def test_the_users_own_variables_stay_as_they_are(monkeypatch, users, expected):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, value in users.items():
        monkeypatch.setenv(name, value)
    share_cores()
    found = {name: os.environ[name] for name in NAMES if name in os.environ}
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    assert found == expected
