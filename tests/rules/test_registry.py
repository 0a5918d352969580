"""The registry says what the policy says, and a mistake in it is named with its place and its remedy."""

from pathlib import Path

import pytest

from habeas.contracts.vocabulary import Instruction, LegalBasis, Origin
from shared.registry import Registry, RegistryError, load_registry

ALE = Path(__file__).parents[2] / "registry" / "ale.toml"
TEXT = ALE.read_text(encoding="utf-8")

CONSENT, CONTRACT, OBLIGATION, _, _, INTERESTS = LegalBasis
LOGIN = "portals.web.trusted.portal_login.level"
BILLING, SUPPORT = "systems.billing.categories", "systems.support.categories"
PROVIDED, OBSERVED, THIRD_PARTY, DERIVED = Origin
DELETE, ANONYMIZE, RETAIN = Instruction


@pytest.fixture(scope="module")
def ale() -> Registry:
    return load_registry(ALE)


@pytest.mark.parametrize(
    ("name", "bases", "origin", "instruction"),
    [
        ("billing.account", (CONTRACT,), (PROVIDED,), DELETE),
        ("billing.invoices", (OBLIGATION, CONTRACT), (PROVIDED, DERIVED), RETAIN),
        ("support.support_conversations", (CONTRACT,), (PROVIDED,), DELETE),
        ("support.product_improvement", (INTERESTS,), (PROVIDED,), DELETE),
        ("analytics.visits", (CONSENT, INTERESTS), (OBSERVED,), ANONYMIZE),
        ("analytics.marketing_preference", (CONSENT,), (PROVIDED,), RETAIN),
        ("payments.payment_customer", (CONTRACT,), (THIRD_PARTY,), DELETE),
        ("payments.charges", (CONTRACT,), (THIRD_PARTY,), RETAIN),
        ("payments.fraud_signals", (INTERESTS,), (THIRD_PARTY, DERIVED), DELETE),
    ],
)
def test_ale_holds_what_its_policy_says(
    ale: Registry,
    name: str,
    bases: tuple[LegalBasis, ...],
    origin: tuple[Origin, ...],
    instruction: Instruction,
) -> None:
    held = ale.category(*name.split("."))
    assert held is not None
    assert (held.bases, held.origin, held.at_erasure.instruction) == (bases, origin, instruction)
    assert held.recipients
    assert (Origin.THIRD_PARTY in held.origin) <= bool(held.sources)


def test_a_registry_may_name_a_regime_of_which_only_the_clock_is_known(tmp_path: Path) -> None:
    file = tmp_path / "registry.toml"
    file.write_text(TEXT.replace("[regulations]\n", '[regulations]\nccpa = ["US"]\n'), encoding="utf-8")
    registry = load_registry(file)
    assert registry.regulation_for("US-CA") == "ccpa"
    assert set(registry.regulations) == {"eu-gdpr", "ccpa"}


def test_ale_has_no_other_categories(ale: Registry) -> None:
    assert [len(system.categories) for system in ale.systems.values()] == [2, 2, 2, 3]
    assert ale.category("billing", "visits") is None
    assert ale.category("warehouse", "visits") is None


@pytest.mark.parametrize(
    ("system", "needs", "provides"),
    [
        ("billing", {"email", "account_id", "controller_customer_id"}, {"account_id", "payment_customer_id"}),
        ("support", {"email"}, set()),
        ("analytics", {"account_id", "visitor_id"}, set()),
        ("payments", {"payment_customer_id"}, set()),
    ],
)
def test_how_ale_finds_people(ale: Registry, system: str, needs: set[str], provides: set[str]) -> None:
    assert set(ale.systems[system].needs) == needs
    assert set(ale.systems[system].provides) == provides


def test_participants_are_portals_and_systems(ale: Registry) -> None:
    assert ale.participants == ("web", "helpdesk", "billing", "support", "analytics", "payments")
    assert ale.systems["billing"].name == "billing"


@pytest.mark.parametrize(
    ("portal", "method", "level", "trusted"),
    [
        ("web", "portal_login", "low", True),
        ("web", "portal_login", "high", True),
        ("web", "id_document", "high", False),
        ("helpdesk", "id_document", "substantial", True),
        ("helpdesk", "palm_reading", "high", False),
        ("web", "portal_login", "unheard_of", False),
    ],
)
def test_whose_word_is_taken(ale: Registry, portal: str, method: str, level: str, trusted: bool) -> None:
    assert ale.portals[portal].trusts(method, level, "email") is trusted


def test_a_cookie_proves_the_visitor_and_nobodys_address(ale: Registry) -> None:
    assert ale.portals["web"].trusts("cookie", "low", "visitor_id")
    assert not ale.portals["web"].trusts("cookie", "high", "email")


def test_what_a_system_holds_is_not_anothers(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match=r"not_controller\.invoices: is a category that a system holds"):
        loaded(tmp_path, TEXT.replace("[not_controller.own_installation]", "[not_controller.invoices]"))


def test_a_proof_below_the_lowest_level_is_not_believed(tmp_path: Path) -> None:
    stricter = loaded(
        tmp_path, TEXT.replace('trusted = { portal_login = "low"', 'trusted = { portal_login = "high"', 1)
    )
    assert not stricter.portals["web"].trusts("portal_login", "substantial", "email")
    assert stricter.portals["web"].trusts("portal_login", "high", "email")


@pytest.mark.parametrize(
    ("jurisdiction", "regulation"),
    [("DE-BY", "eu-gdpr"), ("FR", "eu-gdpr"), ("NO", "eu-gdpr"), ("CH", None), ("US-CA", None), (None, None)],
)
def test_the_regime_of_a_jurisdiction(ale: Registry, jurisdiction: str | None, regulation: str | None) -> None:
    assert ale.regulation_for(jurisdiction) == regulation


@pytest.mark.parametrize(
    ("jurisdiction", "closest"),
    [("DE-BY", "DE-BY"), ("AT-9", "AT"), ("FR", "FR"), ("DE-BE", "default"), ("NL", "default"), (None, "default")],
)
def test_the_closest_authority(ale: Registry, jurisdiction: str | None, closest: str) -> None:
    assert ale.authority_for(jurisdiction) == ale.authorities[closest]


def loaded(folder: Path, text: str) -> Registry:
    file = folder / "registry.toml"
    file.write_text(text, encoding="utf-8")
    return load_registry(file)


@pytest.mark.parametrize(
    ("right", "wrong", "path", "advice"),
    [
        ("days = 7", 'days = "7"', "systems.billing.days", "write a whole number of days from 1 to 365"),
        ("days = 7", "days = 0", "systems.billing.days", "from 1 to 365"),
        ('basis = "contract"', 'basis = "habit"', f"{BILLING}[0].basis", "write one of 'consent'"),
        ('title = "Billing"', "", "systems.billing.title", "is missing: write text"),
        ('title = "Billing"', 'titel = "Billing"', "systems.billing.titel", "correct its name or remove it"),
        ('title = "Billing"', 'name = "invoicing"', "systems.billing.name", "the name is the table's"),
        ('needs = ["email"]', "needs = []", "systems.support.needs", "write identity types"),
        ('needs = ["email"]', 'needs = ["E-Mail"]', "systems.support.needs[0]", "write a name in snake_case"),
        ("[systems.support]", "[systems.Support]", "systems.Support", "write a name matching [a-z][a-z0-9-]{1,30}"),
        ("[portals.web]", "[portals.billing]", "systems.billing", "is a portal's name as well"),
        ("[portals.web]", "[portals.fanout]", "portals.fanout", "choose another name"),
        ("[portals.web]", "[portals.operators]", "portals.operators", "choose another name"),
        ('portal_login = "low"', 'portal_login = "lowest"', LOGIN, "write one of 'low', 'substantial' or 'high'"),
        ('place = "DE-BE"', 'place = "DE-XX"', "controller.place", "ISO 3166-2"),
        ('"Europe/Berlin"', '"Europe/Bonn"', "controller.time_zone", "IANA"),
        ('languages = ["en"]', 'languages = ["English"]', "controller.languages[0]", "write an ISO 639-1 language"),
        ('contact = "privacy@ale.example"', 'contact = "us"', "controller.contact", "write a mail address"),
        ("[authorities.default]", "[authorities.CH]", "authorities.default", "is missing"),
        ("eu-gdpr = [", "gdpr = [", "regulations.gdpr", "write one of ccpa, eu-gdpr"),
        ('"AT", "BE"', '"AT", "AT"', "regulations.eu-gdpr[1]", "remove AT"),
        ('["answering"', '["chatting"', f"{SUPPORT}[0].purposes[0]", "add it under [purposes]"),
        ('recipients = ["hosting"]', 'recipients = ["host"]', f"{SUPPORT}[0].recipients[0]", "[parties]"),
        ('country = "US"\nsafeguard', 'country = "US"\n#', "parties.analytics_provider", "add `safeguard`"),
        ('ground = "accounting_records", until', "until", f"{BILLING}[1].at_erasure", "needs its `ground`"),
        ('"accounting_records"', '"tax"', f"{BILLING}[1].at_erasure.ground", "No ground has the code"),
        ('"still_necessary"', '"a mood"', f"{BILLING}[0].at_erasure.unless", "write one of accounting_r"),
        ('"delete" }', '"delete", until = "later" }', f"{SUPPORT}[0].at_erasure", "write `unless`"),
        ('basis = "legitimate_interests"', 'basis = "legal_obligation"', f"{SUPPORT}[1]", "Art. 17(3)(b)"),
        ('further_bases = ["contract"]', 'further_bases = ["legal_obligation"]', f"{BILLING}[1]", "it is the `basis`"),
        ('name = "invoices"', 'name = "account"', "systems.billing", "each category stands once"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_place_and_remedy(
    tmp_path: Path, right: str, wrong: str, path: str, advice: str
) -> None:
    assert right in TEXT
    with pytest.raises(RegistryError) as caught:
        loaded(tmp_path, TEXT.replace(right, wrong, 1))
    assert [problem.path for problem in caught.value.problems if advice in problem.advice] == [path]
    assert f"  {path}: " in str(caught.value)
    assert str(tmp_path / "registry.toml") in str(caught.value)


def test_all_mistakes_of_a_kind_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(RegistryError) as caught:
        loaded(tmp_path, TEXT.replace("days = 7", "days = 0"))
    assert [problem.path for problem in caught.value.problems] == [
        "systems.billing.days",
        "systems.support.days",
        "systems.analytics.days",
    ]


def test_a_file_that_cannot_be_read_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="set HABEAS_REGISTRY"):
        load_registry(tmp_path / "nowhere.toml")


@pytest.mark.parametrize("content", [b"[policy", b"\xff\xfe"])
def test_a_file_that_is_not_toml_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "registry.toml"
    file.write_bytes(content)
    with pytest.raises(RegistryError, match="is not TOML in UTF-8"):
        load_registry(file)


def test_on_which_grounds_ale_keeps_data(ale: Registry) -> None:
    told = {
        code
        for system in ale.systems.values()
        for category in system.categories
        for code in (category.at_erasure.ground, category.at_erasure.unless)
        if code is not None
    }
    assert told == {"accounting_records", "proof_of_consent", "still_necessary", "legal_claims"}
