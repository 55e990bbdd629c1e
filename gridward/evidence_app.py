"""`gridward evidence`: packs that prove what happened, and checks of packs and of the log. Exit code 1 for what is
wrong, 2 for what was asked wrongly."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from gridward import clock
from gridward.refusal import REFUSED, refuse

if TYPE_CHECKING:
    from hub.config import Config
    from hub.evidence import LogFault

BY = "command line"


def evidence(  # noqa: PLR0917 - each is a named option
    incident: Annotated[int | None, typer.Argument(help="Its number.", min=1, show_default=False)] = None,
    config: Annotated[Path | None, typer.Option("--config", help="The hub's TOML file.", show_default=False)] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Where to write; else incident-N-evidence.zip here.")
    ] = None,
    verify: Annotated[Path | None, typer.Option("--verify", metavar="FILE", help="Check a pack; needs no hub.")] = None,
    key: Annotated[
        Path | None,
        typer.Option(
            "--key",
            metavar="HUB.PUB",
            help="The hub's public key, from the hub itself. With --audit: of another hub on this database.",
        ),
    ] = None,
    audit: Annotated[bool, typer.Option("--audit", help="Check the log of every incident in the database.")] = False,
) -> None:
    """Everything about one incident in a ZIP that proves itself: its signed log, alarms, tracks, versions."""
    if verify is not None:
        _verify(verify, key)
    elif config is None:
        refuse("say which hub: --config /etc/gridward/hub.toml; or check a pack: --verify FILE")
    elif audit:
        _audit(config, key)
    elif incident is None:
        refuse("say which incident: gridward evidence 17 --config /etc/gridward/hub.toml")
    else:
        _write(incident, config, out or Path(f"incident-{incident}-evidence.zip"))


def _verify(file: Path, key: Path | None) -> None:
    from hub.evidence_pack import EvidenceWrong, verify_pack

    try:
        trusted = _public_key(key) if key else None
        checked = verify_pack(file.read_bytes(), trusted)
    except OSError as error:
        refuse(f"{error.filename}: {error.strerror}")
    except EvidenceWrong as error:
        typer.echo(f"{file}: WRONG: {error}")
        raise typer.Exit(REFUSED) from None
    manifest = checked.manifest
    typer.echo(f"{file}: right. Incident {manifest.incident}, made {manifest.made_at:%Y-%m-%d %H:%M:%S %Z}.")
    typer.echo(f"{checked.steps} steps, {checked.sealed} of them sealed; {len(manifest.files)} files.")
    if key is None:
        typer.echo(f"Whole, but whose? Signed with {manifest.signed_by}; give the hub's key: --key hub.pub")


def _write(incident: int, config: Path, out: Path) -> None:
    from hub.evidence import NoIncident, make_pack
    from hub.store import Store, StoreError

    async def made() -> bytes:
        async with Store(_dsn(held)) as store:
            return await make_pack(store, key, incident, BY, clock.now())

    held = _config(config)
    key = _key(held)
    try:
        data = asyncio.run(made())
        out.write_bytes(data)
    except NoIncident as error:
        refuse(str(error))
    except StoreError as error:
        refuse(f"database: {error}")
    except OSError as error:
        refuse(f"{out}: {error.strerror}")
    typer.echo(f"{out}: {len(data):,} bytes. Check it: gridward evidence --verify {out}")


def _audit(config: Path, other: Path | None) -> None:
    """`other`: the key of a second hub on the same database."""
    from hub.evidence import first_fault
    from hub.store import Store, StoreError

    async def found() -> "LogFault | None":
        async with Store(_dsn(held)) as store:
            return await first_fault(store, trusted)

    held = _config(config)
    trusted = [_key(held).public_key().public_bytes_raw(), *([_public_key(other)] if other else [])]
    try:
        fault = asyncio.run(found())
    except StoreError as error:
        refuse(f"database: {error}")
    if fault is not None:
        where = f"incident {fault.incident}: step {fault.number}" if fault.incident else f"seal {fault.number}"
        typer.echo(f"WRONG: {where}: {fault.why}")
        raise typer.Exit(REFUSED)
    typer.echo("The log of every incident is right, and holds everything that was sealed.")


def _config(path: Path) -> "Config":
    from hub.config import ConfigError, load

    try:
        return load(path)
    except ConfigError as error:
        refuse(str(error))


def _dsn(config: "Config") -> str:
    from hub.config import ConfigError, dsn

    try:
        return dsn(config)
    except ConfigError as error:
        refuse(str(error))


def _key(config: "Config") -> Ed25519PrivateKey:
    """The hub's own; none is made here."""
    from hub.signing import KEY_FILE, KeyUnusable, hub_key

    if not (config.state / KEY_FILE).exists():
        refuse(f"{config.state / KEY_FILE}: there is none; the hub makes it at its first start, on its own machine")
    try:
        return hub_key(config.state)
    except KeyUnusable as error:
        refuse(str(error))


def _public_key(path: Path) -> bytes:
    try:
        key = load_pem_public_key(path.read_bytes())
    except ValueError:
        refuse(f"{path}: no public key; the hub's is hub.pub in its state folder")
    if not isinstance(key, Ed25519PublicKey):
        refuse(f"{path}: not the key of a hub, which is Ed25519")
    return key.public_bytes_raw()
