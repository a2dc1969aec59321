"""What the page shows of an answer, what can be tried from there, and how it serves everyone."""

import json
import math
import os
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import NARROW, WIDE
from playwright.sync_api import expect
from service import KEY, changed
from test_page import last_decision, problem, score_example

from credit_risk.contract import EXAMPLE, EXAMPLES, RISKY


def post(service, path, body):
    answer = service.post(path, body)
    assert answer.status == 200, answer.body
    return answer.json


def probability(service, body):
    "The probability of a direct simulation, as the page writes it into `data-pd`."
    return str(post(service, "/simulate", body)["probabilite_defaut"])


def known(dossier):
    "The facts of a dossier that are not missing."
    return {name: value for name, value in dossier.items() if value is not None}


def facts_of(body):
    return {name: value for section in body.values() for name, value in section.items()}


def slide(page, name, presses, arrow="ArrowRight"):
    "Move a slider from the keyboard; its new value."
    slider = page.locator(f"#whatif-{name}")
    slider.focus()
    for _ in range(presses):
        page.keyboard.press(arrow)
    return float(slider.input_value())


# ---- what is shown -----------------------------------------------------------------------------


@dataclass
class Bar:
    "A bar of the waterfall, as it is drawn."

    start: float  # log-odds
    end: float
    x: float  # of the drawing
    width: float

    @property
    def rises(self):
        return self.end > self.start

    @property
    def drawn_start(self):
        return self.x if self.rises else self.x + self.width

    @property
    def drawn_end(self):
        return self.x + self.width if self.rises else self.x


BARS = """bars => bars.map(b => [
    b.dataset.from, b.dataset.to, parseFloat(b.getAttribute('x')),
    parseFloat(b.getAttribute('width'))].map(Number))"""


@pytest.fixture
def waterfall(open_page, service):
    "The page with a result, its bars, and the answer of the service."
    page = open_page()
    score_example(page)
    bars = [Bar(*bar) for bar in page.locator("#reasons .bar-value").evaluate_all(BARS)]
    return page, bars, json.loads(last_decision(service)[1])


def test_the_bars_add_up_from_the_starting_point_to_the_probability(waterfall):
    _, bars, result = waterfall
    assert bars[0].start == result["base"]
    assert [bar.end for bar in bars[:-1]] == [bar.start for bar in bars[1:]]
    total = 1 / (1 + math.exp(-bars[-1].end))
    assert total == pytest.approx(result["probabilite_defaut"], rel=1e-9)


def test_the_bars_are_drawn_to_one_scale_each_where_the_last_one_ended(waterfall):
    _, bars, _ = waterfall
    scales = [
        bar.width / abs(bar.end - bar.start) for bar in bars if abs(bar.end - bar.start) > 0.02
    ]
    assert all(scale == pytest.approx(scales[0], rel=1e-6) for scale in scales)
    ends = [bar.drawn_end for bar in bars[:-1]]
    assert ends == pytest.approx([bar.drawn_start for bar in bars[1:]], abs=0.5)


def test_the_bars_are_labelled_with_their_contributions(waterfall):
    page, bars, result = waterfall
    texts = page.locator("#reasons .fall output").all_inner_texts()
    shown = [float(text.replace("−", "-")) for text in texts]
    contributions = [reason["contribution"] for reason in result["raisons"]]
    assert shown == pytest.approx([result["base"], *contributions, bars[-1].end], abs=0.006)


@pytest.fixture
def risky(open_page, service):
    "The page with the result of a risky application, and the answer of the service."
    page = open_page()
    score_example(page, "risky")
    return page, json.loads(last_decision(service)[1])


def on_gauge(probability):
    "Where a probability stands on the gauge, in percent of its width."
    return 100 * math.sqrt(probability)


def test_the_gauge_shows_the_interval(risky):
    page, result = risky
    low, high = (on_gauge(result["intervalle"][end]) for end in ("bas", "haut"))
    drawn = page.locator("#answer > .gauge .interval")
    x, width = drawn.evaluate("i => ['x', 'width'].map(n => parseFloat(i.getAttribute(n)))")
    assert x == pytest.approx(low, abs=0.01)
    assert width == pytest.approx(max(high - low, 0.4), abs=0.02)


def test_the_gauge_shows_the_cut_offs(risky):
    page, result = risky
    gauge = page.locator("#answer > .gauge")
    lines = gauge.locator(".cut")
    drawn = lines.evaluate_all("cuts => cuts.map(c => parseFloat(c.getAttribute('x1')))")
    cutoffs = result["seuils"].values()
    assert drawn == pytest.approx([on_gauge(cutoff) for cutoff in cutoffs], abs=0.01)
    assert all(f"{cutoff:.1%}" in gauge.inner_text() for cutoff in cutoffs)


def test_the_gauge_is_described_in_words(risky):
    page, result = risky
    description = page.locator("#answer > .gauge svg[role=img]").get_attribute("aria-label")
    assert f"{result['probabilite_defaut']:.1%}" in description


def test_the_reason_codes_are_listed(risky):
    page, result = risky
    expect(page.locator("#motives li")).to_have_count(len(result["motifs"]))
    text = page.locator("#motives").inner_text()
    assert all(code["label"] in text for code in result["motifs"])


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_example_is_that_of_the_contract(open_page, service, name):
    french, _, body = EXAMPLES[name]
    page = open_page(locale="fr-FR")
    assert page.locator(f"#example-{name}").inner_text() == french
    score_example(page, name)
    _, resultat, dossier = last_decision(service)
    assert known(json.loads(dossier)) == facts_of(body)
    anomaly = json.loads(resultat)["anomalie"]
    assert page.locator("#anomaly .atypical").count() == anomaly["est_atypique"]
    assert page.locator("#anomaly .odd-list li").count() == len(anomaly["raisons"])


# ---- what can be tried -------------------------------------------------------------------------


@dataclass
class Tried:
    "The example after three facts were moved, on the page and by a direct call."

    page: object
    direct: dict  # answer of the direct call
    decisions: int  # in the audit, before
    decided: str  # probability of the decision, as the page shows it


@pytest.fixture
def tried(open_page, service):
    page = open_page()
    score_example(page)
    before = service.decisions()
    decided = page.locator("#pd").inner_text()
    montant = slide(page, "montant", 7)
    duree = slide(page, "duree_mois", 3, "ArrowLeft")
    epargne = slide(page, "epargne", 4, "ArrowLeft")
    assert montant > 9000 and duree < 48 and epargne < 4200
    body = changed(montant=montant, duree_mois=int(duree), epargne=epargne)
    return Tried(page, post(service, "/simulate", body), before, decided)


def test_what_if_is_what_a_direct_call_gives(tried):
    words = tried.page.locator("#simulated-words")
    pd = tried.direct["probabilite_defaut"]
    expect(words).to_have_attribute("data-pd", str(pd))
    expect(words).to_contain_text(f"{pd:.1%}")


def test_what_if_is_no_decision_and_leaves_the_decision_shown(tried, service):
    pd = tried.direct["probabilite_defaut"]
    expect(tried.page.locator("#simulated-words")).to_have_attribute("data-pd", str(pd))
    assert tried.direct["simulation"] is True
    assert service.decisions() == tried.decisions
    assert tried.page.locator("#pd").inner_text() == tried.decided
    ghost = tried.page.locator("#simulated .gauge svg:has(> .ghost)").get_attribute("x")
    point = tried.page.locator("#answer > .gauge svg:has(> .point)").get_attribute("x")
    assert ghost == point


def test_what_if_can_be_put_into_the_form_and_decided(tried, service):
    pd = tried.direct["probabilite_defaut"]
    expect(tried.page.locator("#simulated-words")).to_have_attribute("data-pd", str(pd))
    tried.page.get_by_role("button", name="Put into the form").click()
    expect(tried.page.locator("#submit")).to_be_focused()
    tried.page.keyboard.press("Enter")
    expect(tried.page.locator("#stale")).to_be_hidden()
    assert service.decisions() == tried.decisions + 1
    assert json.loads(last_decision(service)[1])["probabilite_defaut"] == pd


def test_a_late_simulation_never_replaces_a_newer_one(open_page, service):
    page = open_page()
    score_example(page)
    held = []
    page.route("**/simulate", lambda route: held.append(route) if not held else route.continue_())
    slide(page, "montant", 2)
    page.wait_for_timeout(250)
    newest = slide(page, "montant", 5)
    words = page.locator("#simulated-words")
    pd = probability(service, changed(montant=newest))
    expect(words).to_have_attribute("data-pd", pd)
    newer = words.inner_text()
    held[0].continue_()
    page.wait_for_timeout(200)
    assert words.inner_text() == newer
    assert len(held) == 1


@pytest.fixture
def changes(open_page, service):
    "The page with a risky application, and the changes that the service finds."
    page = open_page()
    score_example(page, "risky")
    found = post(service, "/simulate/changes", RISKY)["changements"]
    assert found
    expect(page.locator("#changes li")).to_have_count(len(found))
    return page, found


def try_first(page):
    page.locator("#changes li button").first.click()


def test_what_would_change_the_decision_is_shown(changes):
    page, found = changes
    texts = page.locator("#changes li small").all_inner_texts()
    shown = sorted(text.split(" ·")[0] for text in texts)
    assert shown == sorted(f"{change['probabilite_defaut']:.1%}" for change in found)


def test_what_would_change_the_decision_can_be_tried(changes):
    page, found = changes
    try_first(page)
    words = page.locator("#simulated-words")
    expect(words).to_have_attribute("data-pd", str(found[0]["probabilite_defaut"]))
    recommendation = {"accepter": "accept", "examiner": "review"}[found[0]["recommandation"]]
    expect(words).to_contain_text(recommendation)


def test_what_is_tried_stays_in_the_other_language_and_can_be_moved_on(changes):
    page, found = changes
    try_first(page)
    words = page.locator("#simulated-words")
    pd = str(found[0]["probabilite_defaut"])
    expect(words).to_have_attribute("data-pd", pd)
    page.get_by_role("button", name="Français").click()
    expect(words).to_have_attribute("data-pd", pd)
    change = found[0]["changements"][0]
    name, value = change["champ"], change["apres"]
    assert float(page.locator(f"#whatif-{name}").input_value()) == value
    moved = slide(page, name, 1)
    assert moved > value
    assert moved == int(moved)
    expect(words).not_to_have_attribute("data-pd", pd)


# ---- trouble -----------------------------------------------------------------------------------


def test_changes_that_cannot_be_had_are_said_so_in_their_place(open_page):
    page = open_page(expected=["ERR_FAILED"])
    page.route("**/simulate/changes", lambda route: route.abort())
    score_example(page)
    expect(page.locator("#changes")).to_contain_text("The service cannot be reached")


@pytest.fixture
def simulating(open_page):
    "The page with a result, and the place that tells how a simulation goes."
    page = open_page(expected=["429", "ERR_FAILED", "401"])
    score_example(page)
    return page, page.locator("#simulated-words")


def answer_simulations_with(page, answer):
    page.route("**/simulate", lambda route: route.fulfill(**answer))


def test_a_simulation_that_came_too_often_is_tried_again_by_itself(simulating):
    page, words = simulating
    answer = problem(429, "too-many-requests", "Wait.") | {"headers": {"Retry-After": "1"}}
    answer_simulations_with(page, answer)
    slide(page, "montant", 3)
    expect(words).to_contain_text("Too many requests in a short time. Wait. Try again in 1 s.")
    page.unroute("**/simulate")
    expect(words).to_contain_text("Simulated")


def test_a_simulation_that_did_not_arrive_is_said_so(simulating):
    page, words = simulating
    page.route("**/simulate", lambda route: route.abort())
    slide(page, "montant", 1)
    expect(words).to_contain_text("The service cannot be reached")


def test_a_simulation_that_needs_another_key_asks_for_it(simulating):
    page, words = simulating
    answer_simulations_with(page, problem(401, "unauthorized", "No."))
    slide(page, "montant", 1)
    expect(page.locator("#key")).to_be_focused()
    page.unroute("**/simulate")
    page.keyboard.type(KEY)
    page.keyboard.press("Enter")
    slide(page, "montant", 1)
    expect(words).to_contain_text("Simulated")


def test_a_slow_service_is_said_so_while_it_is_waited_for(open_page):
    page = open_page(locale="fr-FR")
    page.clock.install()
    page.click("#example-good")
    held = []
    page.route("**/score", lambda route: held.append(route))
    page.click("#submit")
    page.clock.fast_forward(3_500)
    expect(page.locator("#wait")).to_contain_text("Le service tarde")
    held[0].continue_()
    expect(page.locator("#pd")).to_be_visible()
    expect(page.locator("#wait")).to_be_hidden()


FRENCH = """async details => {
    const { inFrench } = await import('/words.js');
    return details.map(detail => inFrench(detail));
}"""
YOUNG = changed(
    date_naissance="2020-01-01",
    date_embauche="2022-01-01",
    date_ouverture="2025-01-01",
    jours_decouvert_3m=9,
    nb_rejets_3m=4,
)
ENGLISH = (" must ", " is ", "required", "cannot")


def test_every_sentence_of_the_service_that_the_page_can_show_has_its_french(open_page, service):
    """The document holds the rules of one field in both languages.

    The page itself translates those that compare fields, and those of a client."""
    page = open_page(locale="fr-FR")
    client, day = service.sql("select client_id, date_naissance from clients limit 1")[0]
    bodies = [
        YOUNG,
        changed(date_demande="2099-01-01"),
        changed(date_embauche="2024-06-01"),
        {"client": {}, "demande": {}},
        {"client_id": 0, "demande": {}},
        {"client_id": 2**31 - 1, "demande": EXAMPLE["demande"]},
        {"client_id": client, "demande": EXAMPLE["demande"] | {"date_demande": day}},
    ]
    details = {error["detail"] for body in bodies for error in service.score(body).json["errors"]}
    assert len(details) >= 12
    french = page.evaluate(FRENCH, sorted(details))
    assert [text for text in french if any(word in text for word in ENGLISH)] == []


def test_an_answer_that_was_lost_on_the_way_is_asked_for_again_without_a_second_decision(
    open_page, service
):
    page = open_page(expected=["ERR_FAILED"])
    page.click("#example-good")
    before = service.decisions()

    def lose(route):
        route.fetch()  # it reached the service
        route.abort()

    page.route("**/score", lose)
    page.click("#submit")
    expect(page.locator("#notice-title")).to_have_text("The service cannot be reached")
    page.unroute("**/score")
    page.click("#retry")
    expect(page.locator("#pd")).to_be_visible()
    assert service.decisions() == before + 1
    page.click("#submit")  # the same facts, wanted again: another decision
    expect(page.locator("#tab-list tr")).to_have_count(2)
    assert service.decisions() == before + 2


# ---- the tab, and the clients of the bank ------------------------------------------------------


@pytest.fixture
def two_decisions(open_page):
    "The page after two decisions, and their ids in order."
    page = open_page()
    score_example(page)
    first = page.locator("#decision").inner_text()
    page.fill("#demande-montant", "20000")
    page.click("#submit")
    expect(page.locator("#tab-list tr")).to_have_count(2)
    return page, first, page.locator("#decision").inner_text()


def test_the_decisions_of_the_tab_are_kept_with_the_tab_and_nowhere_else(two_decisions):
    page, first, _ = two_decisions
    page.locator("#tab-list").get_by_role("button", name="Show").click()
    expect(page.locator("#decision")).to_have_text(first)
    page.reload()
    expect(page.locator("#tab-list tr")).to_have_count(2)
    assert page.evaluate("localStorage.length") == 0


def test_the_decisions_of_the_tab_are_compared(two_decisions):
    page, _, _ = two_decisions
    for box in page.locator("#tab-list input").all():
        box.check()
    amount = page.get_by_role("rowheader", name="Amount", exact=True)
    row = page.locator("#compared tr", has=amount).first
    assert row.locator("td").all_inner_texts() == ["9,000 euros", "20,000 euros"]


def test_the_decisions_of_the_tab_are_exported(two_decisions, service):
    page, first, second = two_decisions
    with page.expect_download() as download:
        page.click("#export-all")
    with open(download.value.path(), encoding="utf-8") as file:
        saved = json.load(file)
    assert [one["resultat"]["decision_id"] for one in saved] == [second, first]
    assert saved[1]["demande"] == EXAMPLE
    assert saved[0]["resultat"] == json.loads(last_decision(service)[1])


@dataclass
class ClientOfTheBank:
    "A client whose facts the page shows, with the day of the application."

    page: object
    client_id: int
    day: str
    born: str


LAST_CLIENT = (
    "select client_id, date_demande, date_naissance from demandes_de_pret "
    "join clients using (client_id) where decision = 'acceptee' order by demande_id desc limit 1"
)


@pytest.fixture
def of_the_bank(open_page, service):
    page = open_page(locale="fr-FR")
    client_id, day, born = service.sql(LAST_CLIENT)[0]
    page.get_by_role("radio", name="Client de la banque").check()
    page.fill("#demande-date_demande", day)
    page.fill("#client_id", str(client_id))
    page.fill("#demande-montant", "9000")
    page.fill("#demande-duree_mois", "48")
    page.keyboard.press("Tab")
    expect(page.locator("#facts dl")).to_contain_text(born[:4])
    return ClientOfTheBank(page, client_id, day, born)


def test_the_facts_of_a_client_are_read_and_can_be_tried(of_the_bank, service):
    page = of_the_bank.page
    page.click("#submit")
    expect(page.locator("#whatif")).to_be_visible()
    montant = slide(page, "montant", 5)
    address = f"/clients/{of_the_bank.client_id}?date={of_the_bank.day}"
    facts = service.request("GET", address).json
    demande = {"date_demande": of_the_bank.day, "montant": montant, "duree_mois": 48}
    inline = {part: known(facts[part]) for part in ("client", "compte")} | {"demande": demande}
    by_facts = probability(service, inline)
    expect(page.locator("#simulated-words")).to_have_attribute("data-pd", by_facts)
    by_id = {"client_id": of_the_bank.client_id, "demande": demande}
    assert probability(service, by_id) == by_facts


def test_the_facts_of_a_client_can_be_put_into_the_form(of_the_bank):
    page = of_the_bank.page
    page.get_by_role("button", name="Reprendre dans le formulaire").click()
    assert page.locator("#client-date_naissance").input_value() == of_the_bank.born
    assert page.locator("#demande-montant").input_value() == "9000"


# ---- for everyone ------------------------------------------------------------------------------


WATCH_DRAWING = """
    window.shift = 0;
    new PerformanceObserver(list => {
        for (const e of list.getEntries()) if (!e.hadRecentInput) shift += e.value;
    }).observe({ type: 'layout-shift', buffered: true });

    const ask = window.fetch;
    window.fetch = async (...given) => {
        const response = await ask(...given);
        if (given[0] === '/score') {
            const read = response.json.bind(response);
            response.json = async () => {
                const value = await read();
                window.arrived = performance.now();
                return value;
            };
        }
        return response;
    };

    const noteDrawing = () => setTimeout(() => {
        window.drawn ??= performance.now();
        document.documentElement.dataset.drawn = '';
    });
    document.addEventListener('DOMContentLoaded', () => new MutationObserver(() => {
        if (window.arrived && document.getElementById('pd')) requestAnimationFrame(noteDrawing);
    }).observe(document.body, { childList: true, subtree: true }));
"""
DRAWING = ("ScriptDuration", "LayoutDuration", "RecalcStyleDuration")


@dataclass
class Measured:
    "A page whose traffic and processor time are measured."

    page: object
    processor: Callable[[], float]  # seconds of scripts and drawing so far
    bytes_by_request: dict[str, int]


@pytest.fixture
def measured(browser):
    context = browser.new_context(viewport=WIDE)
    page = context.new_page()
    network = context.new_cdp_session(page)
    network.send("Network.enable")
    network.send("Performance.enable", {"timeDomain": "threadTicks"})
    sizes = {}

    def loaded(event):
        sizes[event["requestId"]] = event["encodedDataLength"]

    def processor():
        metrics = network.send("Performance.getMetrics")["metrics"]
        return sum(m["value"] for m in metrics if m["name"] in DRAWING)

    network.on("Network.loadingFinished", loaded)
    page.add_init_script(WATCH_DRAWING)
    yield Measured(page, processor, sizes)
    context.close()


def score_and_draw(page):
    page.click("#submit")
    # an attribute, since the page's policy forbids to evaluate the text of a script
    expect(page.locator("html")).to_have_attribute("data-drawn", "")
    expect(page.locator("#changes h4")).to_be_visible()


def test_the_whole_path_takes_little_on_the_wire(measured, service):
    measured.page.goto(f"{service.url}#key={KEY}")
    measured.page.click("#example-good")
    score_and_draw(measured.page)
    assert sum(measured.bytes_by_request.values()) < 60_000, measured.bytes_by_request


def test_a_result_is_drawn_at_once_and_moves_nothing(measured, service):
    """It is timed from the answer to the frame after it, again where it took long.

    Other work shares the machine. Where it is more than twice its processors, the clock says little
    of the page; the time of its own processor always does."""
    page = measured.page
    is_busy = os.getloadavg()[0] > 2 * os.cpu_count()
    times = []
    while len(times) < (1 if is_busy else 6) and not any(t < 100 for t in times):
        if times:
            page.evaluate("sessionStorage.clear()")
        page.goto(f"{service.url}?{len(times)}#key={KEY}")
        page.click("#example-good")
        before = measured.processor()
        score_and_draw(page)
        times.append(page.evaluate("drawn - arrived"))
        assert measured.processor() - before < 0.1
        assert page.evaluate("shift") < 0.01
    assert is_busy or min(times) < 100, times


SCREENS = [("en-GB", "light", WIDE), ("fr-FR", "dark", NARROW)]


class Audit:
    "Runs axe in the states of a page."

    def __init__(self, page):
        self.page = page
        self.axe = Axe()
        self.violations = {}  # state to what was found

    def check(self, state):
        result = self.axe.run(self.page, options={"resultTypes": ["violations"]})
        if result.violations_count:
            found = result.response["violations"]
            nodes = [[node["html"][:200] for node in v["nodes"][:3]] for v in found]
            self.violations[state] = list(zip([v["id"] for v in found], nodes, strict=True))


def enter_key(page):
    page.fill("#key", KEY)
    page.keyboard.press("Enter")


def send_nothing(page):
    page.click("#submit")
    expect(page.locator("#notice-list li").first).to_be_visible()


def compare_two_results_and_simulate(page):
    score_example(page, "atypical")
    score_example(page, "risky")
    expect(page.locator("#tab-list tr")).to_have_count(2)
    expect(page.locator("#changes h4")).to_be_visible()
    slide(page, "montant", 3)
    expect(page.locator("#simulated .ghost")).to_be_visible()
    for box in page.locator("#tab-list input").all():
        box.check()
    page.locator("details").evaluate_all("all => all.forEach(d => { d.open = true })")


def lose_the_service(page):
    page.route("**/score", lambda route: route.abort())
    page.click("#submit")
    expect(page.locator("#retry")).to_be_visible()
    page.unroute("**/score")


def show_a_client(page, client_id):
    page.locator("[name=source][value=bank]").check()
    page.fill("#client_id", str(client_id))
    page.keyboard.press("Tab")
    expect(page.locator("#facts dl")).to_be_visible()


@pytest.mark.parametrize("locale, scheme, viewport", SCREENS)
def test_axe_finds_no_violation_in_any_state(open_page, service, locale, scheme, viewport):
    options = {"locale": locale, "color_scheme": scheme, "viewport": viewport}
    page = open_page(key=None, expected=["422", "ERR_FAILED"], **options)
    audit = Audit(page)
    audit.check("a key is asked for")
    enter_key(page)
    audit.check("empty")
    send_nothing(page)
    audit.check("errors")
    compare_two_results_and_simulate(page)
    audit.check("a result, a simulation and a comparison")
    lose_the_service(page)
    audit.check("unreachable")
    show_a_client(page, service.sql("select min(client_id) from clients")[0][0])
    audit.check("a client of the bank")
    assert audit.violations == {}


def test_the_page_has_one_of_each_landmark(open_page):
    page = open_page()
    for role in ("banner", "main", "contentinfo", "navigation"):
        assert page.get_by_role(role).count() == 1, role
