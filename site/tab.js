// The decisions of this browser tab: kept in its session storage, compared, exported, printed.
import { api, field, label, displayed } from './contract.js'
import { interval } from './result.js'
import { $, el, locale, number, percent, reason, signed, t } from './words.js'

const KEPT = 12
let entries = JSON.parse(sessionStorage.getItem('decisions') ?? '[]') // newest first: { sent, facts, result, took, at }
let ticked = []                                                        // decision ids, at most two
let show

export function onTab(handlers) { ({ show } = handlers) }
export const newest = () => entries[0] ?? null

export function keep(entry) {
  entries = [entry, ...entries].slice(0, KEPT)
  ticked = ticked.filter(id => entries.some(e => e.result.decision_id === id))
  sessionStorage.setItem('decisions', JSON.stringify(entries))
}

export function download(list) {
  const text = JSON.stringify(list.map(({ at, sent, result }) => ({ horodatage: at, demande: sent, resultat: result })), null, 1)
  const url = URL.createObjectURL(new Blob([text], { type: 'application/json' }))
  el('a', { href: url, download: list.length === 1 ? `decision-${list[0].result.decision_id}.json` : 'decisions.json' }).click()
  setTimeout(() => URL.revokeObjectURL(url), 1000)
}

const time = entry => new Date(entry.at).toLocaleTimeString(locale(), { timeStyle: 'short' })
const asked = entry => ['montant', 'duree_mois'].map(name => displayed(name, entry.facts.demande[name])).join(', ')

export function drawTab(current) {
  $('tab').hidden = !api || !entries.length // without the contract no fact has a name
  if ($('tab').hidden) return
  $('tab-list').replaceChildren(...entries.map(entry => {
    const { result: r } = entry, here = entry === current || r.decision_id === current?.result.decision_id, id = r.decision_id
    return el('tr', { 'aria-current': here && 'true' },
      el('td', {}, el('input', { type: 'checkbox', checked: ticked.includes(id), 'aria-label': t('compareOne', time(entry)), onchange: event => tick(id, event.target.checked, current) })),
      el('th', { scope: 'row' }, time(entry), el('div', { class: 'asked' }, asked(entry))),
      el('td', { class: r.recommandation }, t(r.recommandation)), el('td', { class: 'figure' }, percent(r.probabilite_defaut)), el('td', {}, r.classe_risque),
      el('td', {}, here ? null : el('button', { type: 'button', class: 'link', onclick: () => show(entry) }, t('view'))))
  }))
  drawCompared()
}

function tick(id, on, current) {
  ticked = on ? [...ticked, id].slice(-2) : ticked.filter(other => other !== id)
  drawTab(current)
  document.querySelector(`#tab-list tr:nth-child(${entries.findIndex(e => e.result.decision_id === id) + 1}) input`)?.focus()
}

function drawCompared() {
  const pair = ticked.map(id => entries.find(e => e.result.decision_id === id)).sort((a, b) => a.at.localeCompare(b.at))
  $('compared').hidden = pair.length < 2
  if (pair.length < 2) return
  const row = (name, values, kind) => el('tr', { class: values[0] === values[1] ? 'equal' : 'differs' }, el('th', { scope: 'row' }, name), ...values.map(v => el('td', { class: kind }, v)))
  const results = pair.map(e => e.result)
  const facts = pair.map(e => ({ ...e.facts.client, ...e.facts.compte, ...e.facts.demande }))
  const different = [...new Set(facts.flatMap(Object.keys))].filter(name => field(name) && facts[0][name] !== facts[1][name])
  const parts = results.map(r => Object.fromEntries(r.raisons.map(x => [x.variable, x]))), moved = Object.keys(parts[0]).filter(v => parts[1][v])
    .map(v => [v, Math.abs(parts[0][v].contribution - parts[1][v].contribution)]).filter(([, d]) => d >= .005).sort((a, b) => b[1] - a[1]).slice(0, 6).map(([v]) => v)
  $('compared').replaceChildren(el('table', {},
    el('caption', {}, t('difference')),
    el('thead', {}, el('tr', {}, el('td', {}), ...pair.map(e => el('th', { scope: 'col' }, time(e))))),
    el('tbody', {},
      row(t('recommendation'), results.map(r => t(r.recommandation))), row(t('pd'), results.map(r => `${percent(r.probabilite_defaut)} ${interval(r) && `(${interval(r)})`}`)),
      row(t('points'), results.map(r => number(r.score))), row(t('grade'), results.map(r => r.classe_risque)),
      row(t('model'), results.map(r => r.modele.version)),
      ...(different.length ? different.map(name => row(label(name), facts.map(f => displayed(name, f[name])))) : [el('tr', {}, el('td', { colspan: 3 }, t('same')))])),
    moved.length ? el('tbody', {}, el('tr', {}, el('th', { colspan: 3, scope: 'rowgroup' }, t('why'))), ...moved.map(v => row(reason(parts[1][v]).split(/[:\u00a0]/)[0], parts.map(p => signed(p[v].contribution)), 'figure'))) : ''))
}

export const exportAll = () => download(entries)
