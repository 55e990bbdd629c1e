"""Documents and commands as an edge sees them: through the broker, checked by the rules in devices.documents."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from structlog.testing import capture_logs

from devices.documents import CLOCK_SKEW_S_MAX, COMMAND_S_MAX, TrustError, verify_command, verify_document
from devices.envelope import CommandResult, GatewayState, encode, topic
from devices.observation import GatewayId
from hub import commands
from hub import gateways as gateways_module
from hub.commands import Commands
from hub.documents import RENEW_BEFORE, VALID_FOR, VERSIONS_KEPT, ZONES, Documents
from hub.gateways import Gateways
from hub.live import Live
from hub.migrations import migrate
from hub.signing import KeyUnusable, hub_key
from hub.store import Store, jsonb
from tests.conftest import BrokerAddress
from tests.hub.api_world import GATEWAY, NOON, furnish
from tests.hub.edge_line import EdgeLine, RunningHub, now, running, until, write_config


@pytest.fixture
async def hub(postgres: str, broker: BrokerAddress, tmp_path):
    async with running(write_config(tmp_path, postgres, broker)) as found:
        yield found


@pytest.fixture
def public_key(hub: RunningHub, tmp_path):
    return load_pem_public_key((tmp_path / "hub" / "hub.pub").read_bytes())


@pytest.fixture
async def edge(broker: BrokerAddress, request):
    name = request.node.name.lower().replace("[", "-").replace("]", "")[:64]
    async with EdgeLine(broker, name).connected() as line:
        yield line


def documents(edge: EdgeLine) -> list[bytes]:
    return [payload for tail, payload, _ in edge.heard if tail == "down/zones"]


async def test_a_new_gateway_gets_the_zones_of_its_site(hub: RunningHub, edge: EdgeLine, public_key) -> None:
    await edge.say("state", encode(GatewayState(gateway=edge.gateway, online=True)))
    [offered] = await until(lambda: documents(edge), "the document")
    document = verify_document(offered, public_key, edge.gateway, 0, now())
    assert (document.name, document.version) == ("zones", 1)
    assert [(zone["id"], zone["purpose"], zone["ring"]) for zone in document.body["zones"]] == [("hall", "building", 0)]
    with pytest.raises(TrustError):
        verify_document(offered, public_key, "another", 0, now())


async def test_it_is_there_for_an_edge_that_comes_later(hub: RunningHub, edge: EdgeLine, broker: BrokerAddress) -> None:
    await edge.say("state", encode(GatewayState(gateway=edge.gateway, online=True)))
    await until(lambda: documents(edge), "the document")
    async with EdgeLine(broker, edge.gateway).connected() as later:
        await until(lambda: documents(later), "the retained document")
        assert documents(later) == documents(edge)


@pytest.fixture
async def store(postgres: str):
    async with Store(postgres) as found:
        await migrate(found)
        await furnish(found)
        yield found


async def version(store: Store, key: Ed25519PrivateKey, at=NOON) -> tuple[int, bool]:
    async with store.transaction() as tx:
        [issued] = await Documents(key, lambda *_: True).issue(tx, ZONES, at, [GATEWAY])
    return verify_document(issued.content, key.public_key(), GATEWAY, 0, at).version, issued.fresh


async def test_the_version_rises_with_the_content_only(store: Store) -> None:
    key = Ed25519PrivateKey.generate()
    assert await version(store, key) == (1, True)
    assert await version(store, key) == (1, False)
    async with store.transaction() as tx:
        shape = jsonb({"type": "Polygon", "coordinates": [[[1, 1], [2, 1], [2, 2], [1, 1]]]})
        names = {"name_zh": "门", "name_en": "Gate", "purpose": "gate", "ring": 0}
        await tx.execute("zone_upsert", zone="gate", site="wuzhen", **names, shape=shape, rules=jsonb({}))
    assert await version(store, key) == (2, True)
    assert await version(store, key) == (2, False)


async def test_it_is_signed_again_before_it_expires_and_with_a_new_key(store: Store) -> None:
    key = Ed25519PrivateKey.generate()
    await version(store, key)
    just_before = NOON + VALID_FOR - RENEW_BEFORE - timedelta(minutes=1)
    assert await version(store, key, just_before) == (1, False)
    assert await version(store, key, just_before + timedelta(minutes=2)) == (2, True)
    assert await version(store, Ed25519PrivateKey.generate(), just_before) == (3, True)


async def test_old_versions_are_forgotten(store: Store) -> None:
    for day in range(VERSIONS_KEPT + 3):
        assert await version(store, Ed25519PrivateKey.generate(), NOON + timedelta(days=day)) == (day + 1, True)
    async with store.transaction() as tx:
        kept = [
            number
            for number in range(VERSIONS_KEPT + 4)
            if await tx.row("document_content", audience=GATEWAY, name=ZONES, version=number)
        ]
    assert kept == list(range(4, VERSIONS_KEPT + 4))


async def test_nothing_older_is_published_after_what_is_newer(store: Store) -> None:
    """Two requests issue one after the other, and come to publish in the other order."""
    sent: list[bytes] = []
    documents = Documents(Ed25519PrivateKey.generate(), lambda topic, payload: sent.append(payload) is None)
    async with store.transaction() as tx:
        older = await documents.issue(tx, ZONES, NOON, [GATEWAY])
    async with store.transaction() as tx:
        newer = await documents.issue(tx, ZONES, NOON + VALID_FOR, [GATEWAY])
    documents.publish(newer)
    documents.publish(older)
    documents.publish(newer)
    assert sent == [newer[0].content, newer[0].content]


async def test_what_is_not_committed_was_never_issued(store: Store) -> None:
    key = Ed25519PrivateKey.generate()
    with pytest.raises(KeyError):
        async with store.transaction() as tx:
            await Documents(key, lambda *_: True).issue(tx, ZONES, NOON, [GATEWAY])
            raise KeyError
    assert await version(store, key) == (1, True)


async def test_what_a_gateway_holds_already_is_passed(store: Store) -> None:
    """The database was restored from an older copy: the edge would refuse what it takes for a rollback."""
    key = Ed25519PrivateKey.generate()
    for said, expected in ((0, 1), (1, 1), (7, 8), (8, 8), (10**30, 1_000_000_001)):
        state = jsonb({"documents": {"zones": said}})
        at = NOON + timedelta(seconds=min(said, 100))
        await store.execute("gateway_state", gateway=GATEWAY, online=True, state=state, at=at)
        assert (await version(store, key))[0] == expected


async def test_two_hubs_make_one_document(store: Store) -> None:
    key = Ed25519PrivateKey.generate()
    found = await asyncio.gather(*(version(store, key) for _ in range(4)))
    assert sorted(found) == [(1, False), (1, False), (1, False), (1, True)]


# --- states ---


@asynccontextmanager
async def listening(store: Store) -> AsyncIterator[Gateways]:
    """Without a broker."""
    gateways = Gateways(store, Live(), Ed25519PrivateKey.generate())
    running = asyncio.create_task(gateways.run())
    yield gateways
    assert not running.done()
    running.cancel()


def say(gateways: Gateways, name: str, **more: object) -> None:
    state = GatewayState(gateway=GatewayId(name), online=True, **more)
    gateways.arrived(topic(GatewayId(name), "state"), encode(state), lambda: None)


async def online(store: Store) -> set[str]:
    return {row["gateway"] for row in await store.rows("gateways_page", after=None, limit=100) if row["online"]}


@pytest.mark.parametrize(
    "unfit",
    [{"version": "a\0b"}, {"actuators": {"siren": "\0"}}, {"documents": {"\0": 1}}, {"epoch": "e" * 201}],
)
async def test_a_state_that_no_column_holds_is_not_taken(store: Store, unfit: dict) -> None:
    async with listening(store) as gateways:
        say(gateways, "gw-bad", **unfit)
        say(gateways, "gw-good", version="1.2")
        await until(lambda: online(store), "writing")
        assert await online(store) == {"gw-good"}
        assert "gw-bad" not in {row["gateway"] for row in await store.rows("gateways_page", after=None, limit=100)}


async def test_a_state_that_the_database_refuses_is_dropped_alone(store: Store) -> None:
    async with store.transaction() as tx:
        await tx.script("ALTER TABLE gateways ADD CHECK (gateway <> 'gw-bad')")
    async with listening(store) as gateways:
        for name in ("gw-a", "gw-bad", "gw-z"):
            say(gateways, name)
        await until(lambda: not gateways._states, "letting go of the bad one")
        assert await online(store) == {"gw-a", "gw-z"}


async def test_a_state_of_the_future_does_not_stay(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's clock was ahead, and is right again: who speaks is heard, who is gone is offline."""
    monkeypatch.setattr(gateways_module, "SWEEP_PERIOD_S", 0.1)
    async with store.transaction() as tx:
        await tx.execute("gateways_register", gateways=["gw-gone", "gw-speaks"])
        for name, is_online in (("gw-gone", True), ("gw-speaks", False)):
            at = now() + timedelta(days=3650)
            await tx.execute("gateway_state", gateway=name, online=is_online, state=jsonb({}), at=at)
    async with listening(store) as gateways:
        say(gateways, "gw-speaks")

        async def right() -> bool:
            return await online(store) == {"gw-speaks"}

        await until(right, "the truth")


async def test_of_two_hubs_the_later_state_stands(store: Store) -> None:
    async with store.transaction() as tx:
        await tx.execute("gateways_register", gateways=["gw-a"])
        for seconds, is_online in ((5, True), (0, False)):
            at = NOON + timedelta(seconds=seconds)
            await tx.execute("gateway_state", gateway="gw-a", online=is_online, state=jsonb({}), at=at)
    assert await online(store) == {"gw-a"}


# --- commands ---


async def answer_next(edge: EdgeLine, public_key, *results: str, gateway: str = "") -> None:
    """Be an edge: check the next command, answer with these results."""
    [offered] = await until(lambda: [payload for tail, payload, _ in edge.heard if tail == "cmd"], "a command")
    command = verify_command(offered, public_key, edge.gateway, (), now() - timedelta(days=1), now())
    assert (command.action, command.target, command.value, command.actor) == ("actuator.set", "siren", "on", "guard-7")
    assert command.expires_at - command.issued_at <= timedelta(seconds=COMMAND_S_MAX)
    for result in results:
        told = CommandResult(
            gateway=GatewayId(gateway or edge.gateway), nonce=command.nonce, result=result, reason="r", at=now()
        )
        await edge.say("cmd_result", encode(told))


async def test_a_command_and_its_answers(hub: RunningHub, edge: EdgeLine, public_key) -> None:
    asked = hub.command(edge.gateway, "actuator.set", "siren", "on", "guard-7")
    await answer_next(edge, public_key, "accepted", "confirmed")
    found = await asked
    assert (found["result"], found["reason"]) == ("confirmed", "r") and len(found["nonce"]) == 32
    assert not [retained for tail, _, retained in edge.heard if tail == "cmd" and retained]


async def test_a_refusal_ends_the_waiting(hub: RunningHub, edge: EdgeLine, public_key) -> None:
    asked = hub.command(edge.gateway, "actuator.set", "siren", "on", "guard-7")
    await answer_next(edge, public_key, "refused")
    assert (await asked)["result"] == "refused"


@pytest.mark.parametrize(
    ("results", "expected"), [((), "unanswered"), (("accepted",), "accepted"), (("expired",), "expired")]
)
async def test_nothing_more_comes(  # noqa: PLR0917
    hub: RunningHub, edge: EdgeLine, public_key, monkeypatch: pytest.MonkeyPatch, results, expected
) -> None:
    monkeypatch.setattr(commands, "ANSWER_S", 0.8)
    asked = hub.command(edge.gateway, "actuator.set", "siren", "on", "guard-7")
    await answer_next(edge, public_key, *results)
    assert (await asked)["result"] == expected


async def test_another_gateway_cannot_answer(
    hub: RunningHub, edge: EdgeLine, public_key, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "ANSWER_S", 0.8)
    asked = hub.command(edge.gateway, "actuator.set", "siren", "on", "guard-7")
    await answer_next(edge, public_key, "confirmed", gateway="somebody-else")
    assert (await asked)["result"] == "unanswered"


async def test_no_answer_is_no_promise(monkeypatch: pytest.MonkeyPatch) -> None:
    """An edge whose clock is as far behind as it may be still takes the command when the hub has stopped waiting."""
    monkeypatch.setattr(commands, "ANSWER_S", 0.05)
    key, sent = Ed25519PrivateKey.generate(), []
    held = Commands(key, lambda topic, payload: sent.append(payload) is None)
    done = await held.command("gw-1", "actuator.set", "siren", "on", "a")
    said = re.search(r"until (\S+Z)", done["reason"])
    assert done["result"] == "unanswered" and said is not None
    until_then = datetime.fromisoformat(said[1])
    just_before, behind = until_then - timedelta(seconds=1), timedelta(seconds=CLOCK_SKEW_S_MAX)
    newest = until_then - timedelta(days=1)
    assert verify_command(sent[0], key.public_key(), "gw-1", (), newest, just_before - behind).target == "siren"
    with pytest.raises(TrustError, match="expired"):
        verify_command(sent[0], key.public_key(), "gw-1", (), newest, until_then - behind)


async def test_what_is_not_sent_is_refused() -> None:
    sent: list[str] = []
    away = Commands(Ed25519PrivateKey.generate(), lambda topic, payload: bool(sent.append(topic)))
    assert (await away.command("gw-1", "actuator.set", "siren", "on", "a"))["reason"] == "the broker is not reachable"
    for hostile in ("", "+", "#", "gw-1/../gw-2", "gw 1", "GW", "a" * 65):
        assert (await away.command(hostile, "actuator.set", "siren", "on", "a"))["result"] == "refused"
    assert len(sent) == 1


async def test_what_no_gateway_would_read_is_refused() -> None:
    sent: list[bytes] = []
    held = Commands(Ed25519PrivateKey.generate(), lambda topic, payload: bool(sent.append(payload)))
    done = await held.command("gw-1", "device.text", "jt808:1", "北" * 2_000, "guard-7")
    assert (done["result"], done["reason"], sent) == ("refused", "too long for a command", [])


async def test_only_so_many_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "ANSWER_S", 0.3)
    held = Commands(Ed25519PrivateKey.generate(), lambda topic, payload: True)
    asked = [held.command("gw-1", "actuator.set", "siren", "on", "a") for _ in range(commands.PENDING_MAX + 5)]
    results = [found["result"] for found in await asyncio.gather(*asked)]
    assert results.count("refused") == 5 and results.count("unanswered") == commands.PENDING_MAX
    assert not held._pending


# --- the key ---


def test_the_key_is_made_once_and_kept(tmp_path) -> None:
    first, second = hub_key(tmp_path / "state"), hub_key(tmp_path / "state")
    assert first.private_bytes_raw() == second.private_bytes_raw()
    assert (tmp_path / "state" / "hub.key").stat().st_mode & 0o777 == 0o600
    public = load_pem_public_key((tmp_path / "state" / "hub.pub").read_bytes())
    assert public.public_bytes_raw() == first.public_key().public_bytes_raw()
    (tmp_path / "state" / "hub.pub").unlink()
    hub_key(tmp_path / "state")
    assert (tmp_path / "state" / "hub.pub").exists()


@pytest.mark.parametrize(("content", "mode", "why"), [(b"x", 0o600, "not a private key"), (None, 0o644, "chmod 600")])
def test_a_key_that_cannot_be_used_is_not_replaced(tmp_path, content, mode, why) -> None:
    hub_key(tmp_path)
    key = tmp_path / "hub.key"
    if content is not None:
        key.write_bytes(content)
    key.chmod(mode)
    before = key.read_bytes()
    with pytest.raises(KeyUnusable, match=why):
        hub_key(tmp_path)
    assert key.read_bytes() == before


async def test_what_a_person_tells_a_device_stays_out_of_the_log() -> None:
    away = Commands(Ed25519PrivateKey.generate(), lambda topic, payload: False)
    with capture_logs() as logs:
        await away.command("gw-1", "device.sos_number", "watch:1", '{"number": "13800138000"}', "guard-7")
        await away.command("gw-1", "actuator.set", "siren", "on", "guard-7")
    assert [(line["actor"], line["target"], line.get("value")) for line in logs] == [
        ("guard-7", "watch:1", None),
        ("guard-7", "siren", "on"),
    ]
