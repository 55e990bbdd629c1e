"""Passwords that cost little: these tests log in a few hundred times. What they cost really: test_process.py."""

import pytest
from argon2 import PasswordHasher

from hub import auth


@pytest.fixture(autouse=True)
def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "_hasher", PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
