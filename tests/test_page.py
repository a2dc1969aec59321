"""The page in a real browser (Debian's Chromium), on the real server."""

import json
import re

import pytest
from browser import NARROW
from playwright.sync_api import expect
from service import KEY

from credit_risk.contract import EXAMPLE, FIELDS


def score_example(page, name="good"):
    page.click(f"#example-{name}")
    page.click("#submit")
    expect(page.locator("#pd")).to_be_visible()


def last_decision(service):
    return service.sql(
        "select decision_id, resultat, dossier from decisions order by horodatage desc limit 1"
    )[0]


def test_the_form_is_the_contract(open_page):
    page = open_page()
    for f in FIELDS.values():
        control = page.locator(f"#{f.section}-{f.name}")
        assert (
            page.locator(f"label[for={f.section}-{f.name}]").inner_text().startswith(f.label_en)
            or not control.is_visible()
        )
        assert f.label_en in page.locator(f"label[for={f.section}-{f.name}]").text_content() and (
            f.unit_en in page.locator(f"#{f.section}-{f.name}-field").text_content()
        )
        if f.categories:
            assert control.locator("option").evaluate_all(
                "options => options.map(o => o.value)"
            ) == ["", *f.categories]
        assert control.get_attribute("aria-required") == ("true" if f.required else None)
        if f.hint_en:
            assert page.locator(f"#{f.section}-{f.name}-hint").text_content() == f.hint_en


@pytest.mark.parametrize(
    "locale, recommend, sample",
    [
        ("en-GB", "Recommendation", "Why this result"),
        ("fr-FR", "Recommandation", "Pourquoi ce résultat"),
    ],
)
def test_the_example_is_scored_in_both_languages(open_page, service, locale, recommend, sample):
    page = open_page(locale=locale)
    assert page.evaluate("document.documentElement.lang") == locale[:2] and "key" not in page.url
    score_example(page)
    decision_id, resultat, dossier = last_decision(service)
    result = json.loads(resultat)
    assert page.locator("#decision").inner_text() == decision_id
    shown = page.locator("#pd").inner_text().replace(",", ".")
    assert abs(float(re.sub(r"[^\d.]", "", shown)) - 100 * result["probabilite_defaut"]) <= 0.5
    assert (
        page.locator("#points").inner_text() == str(result["score"])
        and page.locator("#grade [aria-current]").inner_text() == result["classe_risque"]
    )
    expect(page.locator(".verdict")).to_contain_text(recommend)
    expect(page.locator("#reasons h3")).to_have_text(sample)
    assert page.locator("#reasons li.reason").count() == len(result["raisons"]) and page.locator(
        "#live"
    ).inner_text().startswith(recommend)
    bars = page.locator("#reasons rect.bar-value").evaluate_all(
        "bars => bars.map(b => b.classList.contains('up'))"
    )
    assert bars == [r["contribution"] >= 0 for r in result["raisons"]]
    assert {k: v for k, v in json.loads(dossier).items() if v is not None} == {
        k: v for section in EXAMPLE.values() for k, v in section.items()
    }


def test_the_language_switch_keeps_what_was_typed_and_what_was_answered(open_page):
    page = open_page()
    score_example(page)
    decision = page.locator("#decision").inner_text()
    page.fill("#demande-montant", "12000")
    page.get_by_role("button", name="Français").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Demande de prêt")
    assert (
        page.locator("#demande-montant").input_value() == "12000"
        and page.locator("#decision").inner_text() == decision
    )
    expect(page.locator("#stale")).to_be_visible()
    expect(page.locator(".verdict")).to_contain_text("Recommandation")


def test_the_keyboard_alone_is_enough(open_page, service):
    page = open_page()

    def reach(selector):
        for _ in range(80):
            if page.evaluate("s => document.activeElement?.matches(s)", selector):
                return
            page.keyboard.press("Tab")
        pytest.fail(f"{selector} was not reached with Tab")

    reach("#client-date_naissance")
    page.keyboard.type("04121988")
    reach("#client-statut_emploi")
    page.keyboard.type("perm")
    reach("#client-revenu_mensuel")
    page.keyboard.type("2 450.50")
    reach("#demande-montant")
    page.keyboard.type("9,000")
    reach("#demande-duree_mois")
    page.keyboard.type("48")
    page.keyboard.press("Enter")
    expect(page.locator("#pd")).to_be_visible()
    facts = json.loads(last_decision(service)[2])
    assert (
        facts["date_naissance"],
        facts["statut_emploi"],
        facts["revenu_mensuel"],
        facts["montant"],
        facts["duree_mois"],
    ) == ("1988-04-12", "cdi", 2450.5, 9000, 48)
    assert facts["epargne"] is None


@pytest.mark.parametrize("locale", ["en-GB", "fr-FR"])
def test_errors_are_shown_beside_the_fields_and_in_a_summary_in_the_words_of_the_service(
    open_page, service, locale
):
    page = open_page(locale=locale, expected=["422"])
    before = service.decisions()
    page.click("#example-good")
    page.fill("#client-revenu_mensuel", "-5")
    page.fill("#demande-montant", "a lot")
    page.fill("#client-date_naissance", "1726-05-01")
    page.locator("[data-group=incidents] summary").click()
    page.fill("#compte-jours_decouvert_3m", "80")
    page.locator("[data-group=incidents] summary").click()
    page.click("#submit")
    expect(page.locator("#notice")).to_be_focused()
    links = page.locator("#notice-list a")
    expect(links).to_have_count(4)
    rule = FIELDS["montant"].rule(locale[:2])
    assert (
        rule in links.all_inner_texts()
        and page.locator("#demande-montant-error").inner_text() == rule
    )
    for field in (
        "client-revenu_mensuel",
        "demande-montant",
        "client-date_naissance",
        "compte-jours_decouvert_3m",
    ):
        control = page.locator(f"#{field}")
        assert control.get_attribute(
            "aria-invalid"
        ) == "true" and f"{field}-error" in control.get_attribute("aria-describedby")
        expect(page.locator(f"#{field}-error")).to_be_visible()
    assert (
        page.locator("#demande-montant").input_value() == "a lot"
        and page.locator("#client-revenu_mensuel").input_value() == "-5"
    )
    links.filter(has_text="montant").first.click()
    expect(page.locator("#demande-montant")).to_be_focused()
    assert service.decisions() == before
    for field, value in (
        ("client-revenu_mensuel", "2450"),
        ("demande-montant", "9000"),
        ("client-date_naissance", "1988-04-12"),
        ("compte-jours_decouvert_3m", "0"),
    ):
        page.fill(f"#{field}", value)
    page.click("#submit")
    expect(page.locator("#pd")).to_be_visible()
    expect(page.locator("#notice")).to_be_hidden()
    assert page.locator("[aria-invalid]").count() == 0


def test_an_empty_form_says_what_is_required(open_page):
    page = open_page(expected=["422"])
    page.click("#submit")
    expect(page.locator("#notice-list a")).to_have_count(3)
    for f in FIELDS.values():
        if f.required:
            expect(page.locator(f"#{f.section}-{f.name}-error")).to_contain_text(
                f"{f.name} is required"
            )


def test_a_client_of_the_bank_is_scored_by_number(open_page, service):
    page = open_page(expected=["422", "404"])
    page.get_by_role("radio", name="Client of the bank").check()
    page.fill("#client_id", "2147483647")
    page.fill("#demande-montant", "9000")
    page.fill("#demande-duree_mois", "48")
    page.click("#submit")
    expect(page.locator("#client_id-error")).to_have_text(
        "client_id 2147483647 is not a client of the bank"
    )
    known = service.sql("select min(client_id) from clients")[0][0]
    page.fill("#client_id", str(known))
    page.click("#submit")
    expect(page.locator("#pd")).to_be_visible()
    assert json.loads(last_decision(service)[2])["client_id"] == known
    page.get_by_role("radio", name="Enter the facts").check()
    assert page.locator("#demande-montant").input_value() == "9000"


def test_a_wrong_key_is_asked_for_again_and_nothing_typed_is_lost(open_page):
    page = open_page(key="not-the-right-key-at-all", expected=["401"])
    page.click("#example-good")
    page.click("#submit")
    expect(page.locator("#notice-title")).to_have_text("The key was refused")
    expect(page.locator("#key")).to_be_focused()
    page.keyboard.type(KEY)
    page.keyboard.press("Enter")
    expect(page.locator("#notice")).to_be_hidden()
    expect(page.locator("#submit")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#pd")).to_be_visible()


def test_a_key_without_the_scope_is_said_so(open_page):
    page = open_page(expected=["403"])
    page.click("#example-good")
    page.route(
        "**/score",
        lambda route: route.fulfill(
            status=403,
            content_type="application/problem+json",
            body='{"type": "/problems/forbidden", "status": 403, "detail": "This address needs a key of scope score."}',
        ),
    )
    page.click("#submit")
    expect(page.locator("#notice-title")).to_have_text("This key does not allow scoring")
    page.unroute("**/score")
    page.fill("#key", KEY)
    page.keyboard.press("Enter")
    page.click("#submit")
    expect(page.locator("#pd")).to_be_visible()


def test_without_a_key_it_is_asked_for(open_page):
    page = open_page(key=None)
    expect(page.locator("#key")).to_be_focused()
    page.fill("#key", KEY)
    page.keyboard.press("Enter")
    score_example(page)
    assert page.evaluate("[localStorage.length, document.cookie, location.hash]") == [0, "", ""]


@pytest.mark.parametrize(
    "answer, title",
    [
        (None, "The service cannot be reached"),
        (
            {
                "status": 503,
                "content_type": "application/problem+json",
                "body": json.dumps(
                    {
                        "type": "/problems/audit-unavailable",
                        "status": 503,
                        "detail": "Not recorded.",
                    }
                ),
            },
            "The service cannot answer now",
        ),
        (
            {
                "status": 429,
                "content_type": "application/problem+json",
                "body": json.dumps(
                    {"type": "/problems/too-many", "status": 429, "detail": "Wait a minute."}
                ),
            },
            "Too many requests in a short time",
        ),
        (
            {
                "status": 500,
                "content_type": "application/problem+json",
                "body": json.dumps(
                    {"type": "/problems/internal-error", "status": 500, "detail": "Failed."}
                ),
            },
            "The service failed",
        ),
        (
            {"status": 502, "content_type": "text/html", "body": "<h1>Bad gateway</h1>"},
            "The service cannot be reached",
        ),
    ],
)
def test_a_service_in_trouble_is_said_plainly_and_recovers(open_page, answer, title):
    page = open_page(expected=["503", "429", "500", "502", "ERR_FAILED"])
    page.click("#example-good")
    page.route("**/score", lambda route: route.fulfill(**answer) if answer else route.abort())
    page.click("#submit")
    expect(page.locator("#notice-title")).to_have_text(title)
    expect(page.locator("#notice")).to_be_focused()
    page.get_by_role("button", name="Français").click()
    expect(page.locator("#notice-title")).not_to_have_text(title)
    assert not any(
        word in page.locator("#notice").inner_text()
        for word in ("Not recorded", "Wait a minute", "Failed", "service cannot")
    )
    page.get_by_role("button", name="English").click()
    page.unroute("**/score")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#pd")).to_be_visible()
    expect(page.locator("#notice")).to_be_hidden()


def test_a_service_that_does_not_answer_in_time_is_said_so(open_page):
    page = open_page()
    page.clock.install()
    page.click("#example-good")
    page.route("**/score", lambda route: None)
    page.click("#submit")
    expect(page.locator("#submit")).to_have_attribute("aria-busy", "true")
    page.clock.fast_forward(16_000)
    expect(page.locator("#notice-title")).to_have_text("The service did not answer in time")
    expect(page.locator("#submit")).not_to_have_attribute("aria-busy", "true")


def test_a_late_answer_never_replaces_a_newer_one(open_page):
    page = open_page()
    page.click("#example-good")
    held = []
    page.route("**/score", lambda route: held.append(route) if not held else route.continue_())
    page.click("#submit")
    page.fill("#demande-montant", "20000")
    page.click("#submit")
    expect(page.locator("#decision")).to_be_visible()
    newer = page.locator("#decision").inner_text()
    held[0].continue_()
    page.wait_for_timeout(300)
    assert page.locator("#decision").inner_text() == newer and len(held) == 1
    expect(page.locator("#stale")).to_be_hidden()


def test_a_double_click_is_one_decision(open_page, service):
    page = open_page()
    page.click("#example-good")
    before = service.decisions()
    page.dblclick("#submit")
    expect(page.locator("#pd")).to_be_visible()
    page.wait_for_timeout(300)
    assert service.decisions() == before + 1


@pytest.mark.parametrize("locale", ["en-GB", "fr-FR"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_screen_never_scrolls_sideways(open_page, locale, scheme):
    page = open_page(locale=locale, viewport=NARROW, color_scheme=scheme, expected=["422"])

    def fits():
        assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]

    fits()
    page.click("#submit")
    expect(page.locator("#notice")).to_be_visible()
    fits()
    score_example(page)
    for summary in page.locator("#fields summary, #answer summary").all():
        summary.evaluate("s => s.parentElement.open = true")
    fits()
    assert page.locator("#result-title").evaluate("title => title === document.activeElement")


def test_the_result_can_be_printed(open_page):
    page = open_page(color_scheme="dark")
    score_example(page)
    page.emulate_media(media="print")
    expect(page.locator("#pd")).to_be_visible()
    for hidden in ("#submit", "nav", "#examples", "#whatif", "#tab"):
        expect(page.locator(hidden)).to_be_hidden()
    assert (
        page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        == "rgb(255, 255, 255)"
    )  # on paper, whatever the screen was
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    expect(page.locator("#compte-nb_rejets_12m")).to_be_visible()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    expect(page.locator("#compte-nb_rejets_12m")).to_be_hidden()
