"""The page in a real browser (Debian's Chromium), on the real server."""

import json
import re

import pytest
from browser import NARROW
from playwright.sync_api import expect
from service import KEY

from credit_risk.contract import EXAMPLE
from credit_risk.fields import FIELDS


def problem(status, name, detail):
    "A problem document, as a route of the browser gives it."
    document = {"type": f"/problems/{name}", "status": status, "detail": detail}
    body = json.dumps(document)
    return {"status": status, "content_type": "application/problem+json", "body": body}


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
        name = f"{f.section}-{f.name}"
        control = page.locator(f"#{name}")
        label = page.locator(f"label[for={name}]")
        assert f.label_en in label.text_content()
        assert label.inner_text().startswith(f.label_en) or not control.is_visible()
        assert f.unit_en in page.locator(f"#{name}-field").text_content()
        assert control.get_attribute("aria-required") == ("true" if f.required else None)
        if f.categories:
            options = control.locator("option")
            values = options.evaluate_all("options => options.map(o => o.value)")
            assert values == ["", *f.categories]
        if f.hint_en:
            assert page.locator(f"#{name}-hint").text_content() == f.hint_en


WORDS = {  # of a result
    "en-GB": ("Recommendation", "Why this result"),
    "fr-FR": ("Recommandation", "Pourquoi ce résultat"),
}


@pytest.mark.parametrize("locale", WORDS)
def test_the_page_speaks_the_language_of_the_browser(open_page, locale):
    recommendation, why = WORDS[locale]
    page = open_page(locale=locale)
    assert page.evaluate("document.documentElement.lang") == locale[:2]
    score_example(page)
    expect(page.locator(".verdict")).to_contain_text(recommendation)
    expect(page.locator("#reasons h3")).to_have_text(why)
    assert page.locator("#live").inner_text().startswith(recommendation)


@pytest.mark.parametrize("locale", WORDS)
def test_the_page_shows_what_the_service_answered(open_page, service, locale):
    page = open_page(locale=locale)
    score_example(page)
    decision_id, resultat, _ = last_decision(service)
    result = json.loads(resultat)
    assert page.locator("#decision").inner_text() == decision_id
    shown = page.locator("#pd").inner_text().replace(",", ".")
    percent = float(re.sub(r"[^\d.]", "", shown))
    assert abs(percent - 100 * result["probabilite_defaut"]) <= 0.5
    assert page.locator("#points").inner_text() == str(result["score"])
    assert page.locator("#grade [aria-current]").inner_text() == result["classe_risque"]
    assert page.locator("#reasons li.reason").count() == len(result["raisons"])
    bars = page.locator("#reasons rect.bar-value")
    upwards = bars.evaluate_all("bars => bars.map(b => b.classList.contains('up'))")
    assert upwards == [reason["contribution"] >= 0 for reason in result["raisons"]]


def test_the_page_sends_what_was_typed(open_page, service):
    score_example(open_page())
    dossier = json.loads(last_decision(service)[2])
    facts = {name: value for section in EXAMPLE.values() for name, value in section.items()}
    assert {name: value for name, value in dossier.items() if value is not None} == facts


def test_the_key_does_not_stay_in_the_address(open_page):
    assert "key" not in open_page().url


def test_the_language_switch_keeps_what_was_typed_and_what_was_answered(open_page):
    page = open_page()
    score_example(page)
    decision = page.locator("#decision").inner_text()
    page.fill("#demande-montant", "12000")
    page.get_by_role("button", name="Français").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Demande de prêt")
    assert page.locator("#demande-montant").input_value() == "12000"
    assert page.locator("#decision").inner_text() == decision
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
    typed = {
        "date_naissance": "1988-04-12",
        "statut_emploi": "cdi",
        "revenu_mensuel": 2450.5,
        "montant": 9000,
        "duree_mois": 48,
    }
    assert {name: facts[name] for name in typed} == typed
    assert facts["epargne"] is None


WRONG = {  # field of the form: a value that is refused, and one that is not
    "client-revenu_mensuel": ("-5", "2450"),
    "demande-montant": ("a lot", "9000"),
    "client-date_naissance": ("1726-05-01", "1988-04-12"),
    "compte-jours_decouvert_3m": ("80", "0"),
}


@pytest.fixture
def send_mistakes(open_page):
    "A function that opens the page in a language and sends the example with mistakes."

    def sent(locale="en-GB"):
        page = open_page(locale=locale, expected=["422"])
        page.click("#example-good")
        incidents = page.locator("[data-group=incidents] summary")
        incidents.click()
        for field, (wrong, _) in WRONG.items():
            page.fill(f"#{field}", wrong)
        incidents.click()  # what is folded away is opened again by its mistake
        page.click("#submit")
        expect(page.locator("#notice")).to_be_focused()
        return page

    return sent


@pytest.mark.parametrize("locale", WORDS)
def test_mistakes_are_listed_in_the_words_of_the_service(send_mistakes, locale):
    page = send_mistakes(locale)
    links = page.locator("#notice-list a")
    expect(links).to_have_count(4)
    rule = FIELDS["montant"].rule(locale[:2])
    assert rule in links.all_inner_texts()
    assert page.locator("#demande-montant-error").inner_text() == rule


@pytest.mark.parametrize("locale", WORDS)
def test_mistakes_are_shown_beside_their_fields(send_mistakes, locale):
    page = send_mistakes(locale)
    for field in WRONG:
        control = page.locator(f"#{field}")
        assert control.get_attribute("aria-invalid") == "true"
        assert f"{field}-error" in control.get_attribute("aria-describedby")
        expect(page.locator(f"#{field}-error")).to_be_visible()


def test_a_listed_mistake_leads_to_its_field(send_mistakes):
    page = send_mistakes()
    page.locator("#notice-list a").filter(has_text="montant").first.click()
    expect(page.locator("#demande-montant")).to_be_focused()


def test_mistakes_are_kept_as_typed_and_make_no_decision(send_mistakes, service):
    before = service.decisions()
    page = send_mistakes()
    assert page.locator("#demande-montant").input_value() == "a lot"
    assert page.locator("#client-revenu_mensuel").input_value() == "-5"
    assert service.decisions() == before


def test_mistakes_that_are_corrected_leave_no_trace(send_mistakes):
    page = send_mistakes()
    for field, (_, right) in WRONG.items():
        page.fill(f"#{field}", right)
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


@pytest.fixture
def client_form(open_page):
    "The page, asked for a client of the bank."
    page = open_page(expected=["422", "404"])
    page.get_by_role("radio", name="Client of the bank").check()
    page.fill("#demande-montant", "9000")
    page.fill("#demande-duree_mois", "48")
    return page


def test_a_client_of_the_bank_is_scored_by_number(client_form, service):
    known = service.sql("select min(client_id) from clients")[0][0]
    client_form.fill("#client_id", str(known))
    client_form.click("#submit")
    expect(client_form.locator("#pd")).to_be_visible()
    assert json.loads(last_decision(service)[2])["client_id"] == known


def test_a_client_whom_the_bank_does_not_know_is_said_beside_the_number(client_form):
    client_form.fill("#client_id", "2147483647")
    client_form.click("#submit")
    expect(client_form.locator("#client_id-error")).to_have_text(
        "client_id 2147483647 is not a client of the bank"
    )


def test_the_loan_that_was_typed_stays_when_the_facts_are_typed_too(client_form):
    client_form.get_by_role("radio", name="Enter the facts").check()
    assert client_form.locator("#demande-montant").input_value() == "9000"


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
    answer = problem(403, "forbidden", "This address needs a key of scope score.")
    page.route("**/score", lambda route: route.fulfill(**answer))
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


TROUBLE = {  # what the browser gets (None: nothing), and the title of what the page says
    "no answer": (None, "The service cannot be reached"),
    "503": (
        problem(503, "audit-unavailable", "Not recorded."),
        "The service cannot answer now",
    ),
    "429": (problem(429, "too-many", "Wait a minute."), "Too many requests in a short time"),
    "500": (problem(500, "internal-error", "Failed."), "The service failed"),
    "502 of a proxy": (
        {"status": 502, "content_type": "text/html", "body": "<h1>Bad gateway</h1>"},
        "The service cannot be reached",
    ),
}
EXPECTED = ["503", "429", "500", "502", "ERR_FAILED"]


@pytest.fixture(params=TROUBLE)
def trouble(open_page, request):
    "The page after a service in trouble, and the title of what it must say."
    answer, title = TROUBLE[request.param]
    page = open_page(expected=EXPECTED)
    page.click("#example-good")
    page.route("**/score", lambda route: route.fulfill(**answer) if answer else route.abort())
    page.click("#submit")
    return page, title


ENGLISH = ("Not recorded", "Wait a minute", "Failed", "service cannot")


def test_a_service_in_trouble_is_said_plainly_in_both_languages(trouble):
    page, title = trouble
    expect(page.locator("#notice-title")).to_have_text(title)
    expect(page.locator("#notice")).to_be_focused()
    page.get_by_role("button", name="Français").click()
    expect(page.locator("#notice-title")).not_to_have_text(title)
    text = page.locator("#notice").inner_text()
    assert not any(words in text for words in ENGLISH)


def test_a_service_that_was_in_trouble_can_be_tried_again(trouble):
    page, _ = trouble
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
    assert page.locator("#decision").inner_text() == newer
    assert len(held) == 1
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


@pytest.fixture
def printed(open_page):
    "A result on a dark screen, as it is printed."
    page = open_page(color_scheme="dark")
    score_example(page)
    page.emulate_media(media="print")
    return page


def test_a_printed_result_leaves_out_what_cannot_be_used_on_paper(printed):
    expect(printed.locator("#pd")).to_be_visible()
    for hidden in ("#submit", "nav", "#examples", "#whatif", "#tab"):
        expect(printed.locator(hidden)).to_be_hidden()


def test_a_printed_result_is_on_white_whatever_the_screen_was(printed):
    color = printed.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert color == "rgb(255, 255, 255)"


def test_all_facts_are_printed_and_folded_away_again(printed):
    folded = printed.locator("#compte-nb_rejets_12m")
    printed.evaluate("dispatchEvent(new Event('beforeprint'))")
    expect(folded).to_be_visible()
    printed.evaluate("dispatchEvent(new Event('afterprint'))")
    expect(folded).to_be_hidden()
