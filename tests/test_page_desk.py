"""What the page shows of an answer, what can be tried from there, and how it behaves for everyone: on the real server, in a real browser."""

import json
import math
import os

import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import NARROW, WIDE
from playwright.sync_api import expect
from service import KEY
from test_page import last_decision, score_example

from credit_risk.contract import EXAMPLE, EXAMPLES, FIELDS, RISKY


def post(service, path, body):
    answer = service.request("POST", path, json.dumps(body).encode())
    assert answer.status == 200, answer.body
    return answer.json


def changed(body, **facts):
    "A body with some facts changed."
    sections = {section: dict(part) for section, part in body.items()}
    for name, value in facts.items():
        sections[FIELDS[name].section][name] = value
    return sections


def slide(page, name, presses, arrow="ArrowRight"):
    "Move a slider from the keyboard; its new value."
    page.locator(f"#whatif-{name}").focus()
    for _ in range(presses):
        page.keyboard.press(arrow)
    return float(page.locator(f"#whatif-{name}").input_value())


def test_the_bars_add_up_from_the_starting_point_to_the_total(open_page, service):
    page = open_page()
    score_example(page)
    result = json.loads(last_decision(service)[1])
    bars = page.locator("#reasons .bar-value").evaluate_all(
        "bars => bars.map(b => [b.dataset.from, b.dataset.to, parseFloat(b.getAttribute('x')), parseFloat(b.getAttribute('width'))].map(Number))"
    )
    assert bars[0][0] == result["base"] and all(
        a[1] == b[0] for a, b in zip(bars, bars[1:], strict=False)
    )
    assert 1 / (1 + math.exp(-bars[-1][1])) == pytest.approx(result["probabilite_defaut"], rel=1e-9)
    scale = [
        (b[3] / abs(b[1] - b[0]), b) for b in bars if abs(b[1] - b[0]) > 0.02
    ]  # drawn to one scale, each where the last one ended
    assert all(s == pytest.approx(scale[0][0], rel=1e-6) for s, _ in scale)
    ends = [b[2] + (b[3] if b[1] > b[0] else 0) for b in bars]
    starts = [b[2] + (0 if b[1] > b[0] else b[3]) for b in bars]
    assert ends[:-1] == pytest.approx(starts[1:], abs=0.5)
    rows = page.locator("#reasons .fall output").all_inner_texts()
    assert [float(text.replace("−", "-")) for text in rows] == pytest.approx(
        [result["base"], *(r["contribution"] for r in result["raisons"]), bars[-1][1]], abs=0.006
    )


def test_the_gauge_shows_the_interval_and_the_cut_offs(open_page, service):
    page = open_page()
    score_example(page, "risky")
    r = json.loads(last_decision(service)[1])
    gauge = page.locator("#answer > .gauge")
    assert gauge.locator(".cut").evaluate_all(
        "cuts => cuts.map(c => parseFloat(c.getAttribute('x1')))"
    ) == pytest.approx([100 * math.sqrt(v) for v in r["seuils"].values()], abs=0.01)
    x, width = gauge.locator(".interval").evaluate(
        "i => ['x', 'width'].map(n => parseFloat(i.getAttribute(n)))"
    )
    assert x == pytest.approx(
        100 * math.sqrt(r["intervalle"]["bas"]), abs=0.01
    ) and width == pytest.approx(
        max(100 * (math.sqrt(r["intervalle"]["haut"]) - math.sqrt(r["intervalle"]["bas"])), 0.4),
        abs=0.02,
    )
    assert f"{r['probabilite_defaut']:.1%}" in gauge.locator("svg[role=img]").get_attribute(
        "aria-label"
    )
    assert (
        f"{r['seuils']['accepter']:.1%}" in gauge.inner_text()
        and f"{r['seuils']['refuser']:.1%}" in gauge.inner_text()
    )
    expect(page.locator("#motives li")).to_have_count(len(r["motifs"]))
    assert all(m["label"] in page.locator("#motives").inner_text() for m in r["motifs"])


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_example_is_that_of_the_contract(open_page, service, name):
    page = open_page(locale="fr-FR")
    assert page.locator(f"#example-{name}").inner_text() == EXAMPLES[name][0]
    score_example(page, name)
    assert {k: v for k, v in json.loads(last_decision(service)[2]).items() if v is not None} == {
        k: v for part in EXAMPLES[name][2].values() for k, v in part.items()
    }
    odd = json.loads(last_decision(service)[1])["anomalie"]
    assert page.locator("#anomaly .atypical").count() == odd["est_atypique"] and page.locator(
        "#anomaly .odd-list li"
    ).count() == len(odd["raisons"])


def test_what_if_is_what_a_direct_call_says_and_never_a_decision(open_page, service):
    page = open_page()
    score_example(page)
    before, decided = service.decisions(), page.locator("#pd").inner_text()
    montant, duree, epargne = (
        slide(page, "montant", 7),
        slide(page, "duree_mois", 3, "ArrowLeft"),
        slide(page, "epargne", 4, "ArrowLeft"),
    )
    assert montant > 9000 and duree < 48 and epargne < 4200
    body = changed(EXAMPLE, montant=montant, duree_mois=int(duree), epargne=epargne)
    direct = post(service, "/simulate", body)
    expect(page.locator("#simulated-words")).to_have_attribute(
        "data-pd", str(direct["probabilite_defaut"])
    )
    expect(page.locator("#simulated-words")).to_contain_text(f"{direct['probabilite_defaut']:.1%}")
    ghost = page.locator("#simulated .gauge svg:has(> .ghost)").get_attribute("x")
    assert (
        ghost == page.locator("#answer > .gauge svg:has(> .point)").get_attribute("x")
        and page.locator("#pd").inner_text() == decided
    )
    assert service.decisions() == before and direct["simulation"] is True
    page.get_by_role("button", name="Put into the form").click()
    expect(page.locator("#submit")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#stale")).to_be_hidden()
    assert service.decisions() == before + 1
    assert (
        json.loads(last_decision(service)[1])["probabilite_defaut"] == direct["probabilite_defaut"]
    )


def test_a_late_simulation_never_replaces_a_newer_one(open_page, service):
    page = open_page()
    score_example(page)
    held = []
    page.route("**/simulate", lambda route: held.append(route) if not held else route.continue_())
    slide(page, "montant", 2)
    page.wait_for_timeout(250)
    newest = slide(page, "montant", 5)
    expect(page.locator("#simulated-words")).to_have_attribute(
        "data-pd",
        str(post(service, "/simulate", changed(EXAMPLE, montant=newest))["probabilite_defaut"]),
    )
    newer = page.locator("#simulated-words").inner_text()
    held[0].continue_()
    page.wait_for_timeout(200)
    assert len(held) == 1 and page.locator("#simulated-words").inner_text() == newer


def test_what_would_change_the_decision_is_shown_and_can_be_tried(open_page, service):
    page = open_page()
    score_example(page, "risky")
    found = post(service, "/simulate/changes", RISKY)["changements"]
    assert found
    rows = page.locator("#changes li")
    expect(rows).to_have_count(len(found))
    assert sorted(f"{c['probabilite_defaut']:.1%}" for c in found) == sorted(
        text.split(" ·")[0] for text in rows.locator("small").all_inner_texts()
    )
    rows.locator("button").first.click()
    expect(page.locator("#simulated-words")).to_have_attribute(
        "data-pd", str(found[0]["probabilite_defaut"])
    )
    words = {"accepter": "accept", "examiner": "review"}[found[0]["recommandation"]]
    expect(page.locator("#simulated-words")).to_contain_text(words)
    page.get_by_role(
        "button", name="Français"
    ).click()  # what is tried stays, in the other language
    expect(page.locator("#simulated-words")).to_have_attribute(
        "data-pd", str(found[0]["probabilite_defaut"])
    )
    name, value = found[0]["changements"][0]["champ"], found[0]["changements"][0]["apres"]
    assert float(page.locator(f"#whatif-{name}").input_value()) == value
    moved = slide(page, name, 1)
    assert moved > value and moved == int(moved)
    expect(page.locator("#simulated-words")).not_to_have_attribute(
        "data-pd", str(found[0]["probabilite_defaut"])
    )


def test_trouble_in_a_simulation_is_said_beside_it_and_recovers(open_page):
    page = open_page(expected=["429", "503", "ERR_FAILED", "401"])
    page.route("**/simulate/changes", lambda route: route.abort())
    score_example(page)
    expect(page.locator("#changes")).to_contain_text("The service cannot be reached")
    said = page.locator("#simulated-words")
    page.route(
        "**/simulate",
        lambda route: route.fulfill(
            status=429,
            headers={"Retry-After": "1"},
            content_type="application/problem+json",
            body='{"type": "/problems/too-many-requests", "status": 429, "detail": "Wait."}',
        ),
    )
    slide(page, "montant", 3)
    expect(said).to_contain_text("Too many requests in a short time. Wait. Try again in 1 s.")
    page.unroute("**/simulate")
    expect(said).to_contain_text("Simulated")  # by itself
    page.route("**/simulate", lambda route: route.abort())
    slide(page, "montant", 1)
    expect(said).to_contain_text("The service cannot be reached")
    page.unroute("**/simulate")
    page.route(
        "**/simulate",
        lambda route: route.fulfill(
            status=401,
            content_type="application/problem+json",
            body='{"type": "/problems/unauthorized", "status": 401, "detail": "No."}',
        ),
    )
    slide(page, "montant", 1)
    expect(page.locator("#key")).to_be_focused()
    page.unroute("**/simulate")
    page.keyboard.type(KEY)
    page.keyboard.press("Enter")
    slide(page, "montant", 1)
    expect(said).to_contain_text("Simulated")


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


def test_every_sentence_of_the_service_that_the_page_can_show_has_its_french(open_page, service):
    "The rules of one field are in the document in both languages; those that compare fields, and those of a client, are the page's to translate."
    page = open_page(locale="fr-FR")
    client, day = service.sql("select client_id, date_naissance from clients limit 1")[0]
    young = changed(
        EXAMPLE,
        date_naissance="2020-01-01",
        date_embauche="2022-01-01",
        date_ouverture="2025-01-01",
        jours_decouvert_3m=9,
        nb_rejets_3m=4,
    )
    bodies = [
        young,
        changed(EXAMPLE, date_demande="2099-01-01"),
        changed(EXAMPLE, date_embauche="2024-06-01"),
        {"client": {}, "demande": {}},
        {"client_id": 0, "demande": {}},
        {"client_id": 2**31 - 1, "demande": EXAMPLE["demande"]},
        {"client_id": client, "demande": EXAMPLE["demande"] | {"date_demande": day}},
    ]
    details = {e["detail"] for body in bodies for e in service.score(body).json["errors"]}
    assert len(details) >= 12
    french = page.evaluate(
        "async details => { const { inFrench } = await import('/words.js'); return details.map(d => inFrench(d)) }",
        sorted(details),
    )
    assert not [
        text
        for text in french
        if any(word in text for word in (" must ", " is ", "required", "cannot"))
    ], french


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


def test_the_decisions_of_the_tab_are_kept_compared_and_exported(open_page, service):
    page = open_page()
    score_example(page)
    first = page.locator("#decision").inner_text()
    page.fill("#demande-montant", "20000")
    page.click("#submit")
    expect(page.locator("#tab-list tr")).to_have_count(2)
    second = page.locator("#decision").inner_text()
    for box in page.locator("#tab-list input").all():
        box.check()
    row = page.locator(
        "#compared tr", has=page.get_by_role("rowheader", name="Amount", exact=True)
    ).first
    assert row.locator("td").all_inner_texts() == ["9,000 euros", "20,000 euros"]
    with page.expect_download() as download:
        page.click("#export-all")
    saved = json.loads(open(download.value.path(), encoding="utf-8").read())
    assert [d["resultat"]["decision_id"] for d in saved] == [second, first] and saved[1][
        "demande"
    ] == EXAMPLE
    assert saved[0]["resultat"] == json.loads(last_decision(service)[1])
    page.locator("#tab-list").get_by_role("button", name="Show").click()
    expect(page.locator("#decision")).to_have_text(first)
    page.reload()
    expect(page.locator("#tab-list tr")).to_have_count(2)
    assert page.evaluate("localStorage.length") == 0


def test_the_facts_of_a_client_are_read_shown_and_tried(open_page, service):
    page = open_page(locale="fr-FR")
    client, day, born = service.sql(
        "select client_id, date_demande, date_naissance from demandes_de_pret join clients using (client_id) where decision = 'acceptee' order by demande_id desc limit 1"
    )[0]
    page.get_by_role("radio", name="Client de la banque").check()
    page.fill("#demande-date_demande", day)
    page.fill("#client_id", str(client))
    page.fill("#demande-montant", "9000")
    page.fill("#demande-duree_mois", "48")
    page.keyboard.press("Tab")
    expect(page.locator("#facts dl")).to_contain_text(born[:4])
    page.click("#submit")
    expect(page.locator("#whatif")).to_be_visible()
    facts = service.request("GET", f"/clients/{client}?date={day}").json
    montant = slide(page, "montant", 5)
    inline = {
        part: {k: v for k, v in facts[part].items() if v is not None}
        for part in ("client", "compte")
    } | {"demande": {"date_demande": day, "montant": montant, "duree_mois": 48}}
    expect(page.locator("#simulated-words")).to_have_attribute(
        "data-pd", str(post(service, "/simulate", inline)["probabilite_defaut"])
    )
    assert (
        post(service, "/simulate", {"client_id": client, "demande": inline["demande"]})[
            "probabilite_defaut"
        ]
        == post(service, "/simulate", inline)["probabilite_defaut"]
    )
    page.get_by_role("button", name="Reprendre dans le formulaire").click()
    assert (
        page.locator("#client-date_naissance").input_value() == born
        and page.locator("#demande-montant").input_value() == "9000"
    )


def test_the_whole_path_takes_little_on_the_wire_and_is_drawn_at_once(browser, service):
    """The first result is timed from the answer to the frame after it, tried again where it took long, since other work shares the machine.
    On a machine with more work than twice its processors the clock says nothing of the page; the time of its processor always does."""
    context = browser.new_context(viewport=WIDE)
    page = context.new_page()
    network = context.new_cdp_session(page)
    network.send("Network.enable")
    network.send("Performance.enable", {"timeDomain": "threadTicks"})

    def processor():
        return sum(
            m["value"]
            for m in network.send("Performance.getMetrics")["metrics"]
            if m["name"] in ("ScriptDuration", "LayoutDuration", "RecalcStyleDuration")
        )

    sizes, busy = {}, os.getloadavg()[0] > 2 * os.cpu_count()
    network.on(
        "Network.requestWillBeSent",
        lambda e: sizes.setdefault(e["requestId"], [e["request"]["url"], 0]),
    )
    network.on(
        "Network.loadingFinished",
        lambda e: sizes[e["requestId"]].__setitem__(1, e["encodedDataLength"]),
    )
    page.add_init_script("""
        window.shift = 0; new PerformanceObserver(list => { for (const e of list.getEntries()) if (!e.hadRecentInput) shift += e.value }).observe({ type: 'layout-shift', buffered: true })
        const ask = window.fetch; window.fetch = async (...given) => { const response = await ask(...given); if (given[0] === '/score') {
            const read = response.json.bind(response); response.json = async () => { const value = await read(); window.arrived = performance.now(); return value } } return response }
        document.addEventListener('DOMContentLoaded', () => new MutationObserver(() => { if (window.arrived && document.getElementById('pd')) requestAnimationFrame(() => setTimeout(() => { window.drawn ??= performance.now(); document.documentElement.dataset.drawn = '' })) })
            .observe(document.body, { childList: true, subtree: true }))""")
    times = []
    while len(times) < (1 if busy else 6) and not any(t < 100 for t in times):
        if times:
            page.evaluate("sessionStorage.clear()")
        page.goto(f"{service.url}?{len(times)}#key={KEY}")
        page.click("#example-good")
        before = processor()
        page.click("#submit")
        expect(page.locator("html")).to_have_attribute(
            "data-drawn", ""
        )  # an attribute, since the page's policy forbids to evaluate a script's text
        expect(page.locator("#changes h4")).to_be_visible()
        times.append(page.evaluate("drawn - arrived"))
        assert processor() - before < 0.1 and page.evaluate("shift") < 0.01
        if len(times) == 1:
            assert sum(size for _, size in sizes.values()) < 60_000, sizes
    assert busy or min(times) < 100, times
    context.close()


@pytest.mark.parametrize(
    "locale, scheme, viewport", [("en-GB", "light", WIDE), ("fr-FR", "dark", NARROW)]
)
def test_axe_finds_no_violation_in_any_state(open_page, service, locale, scheme, viewport):
    page, axe, found = (
        open_page(
            key=None,
            locale=locale,
            color_scheme=scheme,
            viewport=viewport,
            expected=["422", "ERR_FAILED"],
        ),
        Axe(),
        {},
    )

    def check(state):
        result = axe.run(page, options={"resultTypes": ["violations"]})
        if result.violations_count:
            found[state] = [
                (v["id"], [n["html"][:200] for n in v["nodes"][:3]])
                for v in result.response["violations"]
            ]

    check("a key is asked for")
    page.fill("#key", KEY)
    page.keyboard.press("Enter")
    check("empty")
    page.click("#submit")
    expect(page.locator("#notice-list li").first).to_be_visible()
    check("errors")
    score_example(page, "atypical")
    score_example(page, "risky")
    expect(page.locator("#tab-list tr")).to_have_count(2)
    expect(page.locator("#changes h4")).to_be_visible()
    slide(page, "montant", 3)
    expect(page.locator("#simulated .ghost")).to_be_visible()
    for box in page.locator("#tab-list input").all():
        box.check()
    page.locator("details").evaluate_all("all => all.forEach(d => { d.open = true })")
    check("a result, a simulation and a comparison")
    page.route("**/score", lambda route: route.abort())
    page.click("#submit")
    expect(page.locator("#retry")).to_be_visible()
    check("unreachable")
    page.unroute("**/score")
    page.locator("[name=source][value=bank]").check()
    page.fill("#client_id", str(service.sql("select min(client_id) from clients")[0][0]))
    page.keyboard.press("Tab")
    expect(page.locator("#facts dl")).to_be_visible()
    check("a client of the bank")
    assert found == {}
    for role in ("banner", "main", "contentinfo", "navigation"):
        assert page.get_by_role(role).count() == 1, role
