// What if: the application of the decision shown, scored again by /simulate as sliders move. It never touches the decision.
import { field, label, displayed, unit } from './contract.js'
import { gauge, interval } from './result.js'
import { ask } from './service.js'
import { $, el, number, percent, t } from './words.js'

const SLIDERS = ['montant', 'duree_mois', 'taux_annuel', 'revenu_mensuel', 'charges_mensuelles', 'epargne']
const LOAN = ['montant', 'duree_mois', 'taux_annuel'] // what an instalment is computed from
const PAUSE = 120 // milliseconds without a move before the service is asked

let decided = null  // { body, result }: facts inline, and the decision
let now = {}        // field: value of its slider
let simulated = null // the last answer, or null where nothing is changed
let changes = null  // what would change the decision
let trouble = null  // key of WORDS
let running = null, timer = 0, explain, apply

export function onWhatIf(handlers) { ({ explain, apply } = handlers) }

const given = name => decided.body[field(name).section][name]
const fixed = () => decided.body.demande.mensualite !== undefined && decided.body.demande.taux_annuel === undefined
const names = () => SLIDERS.filter(name => typeof given(name) === 'number' && !(fixed() && LOAN.includes(name)))
const isChanged = name => now[name] !== given(name)

function range(name, value = now[name]) { // limits and a round step, with the value on the grid
  const first = given(name), { minimum, maximum, type } = field(name).schema
  const wide = { taux_annuel: Math.max(12, first * 2), epargne: Math.max(first * 2, decided.body.demande.montant), charges_mensuelles: Math.max(first * 2, 500) }[name] ?? first * 2
  const top = Math.max(Math.min(wide, maximum), value), bottom = Math.min(Math.max(['montant', 'duree_mois', 'revenu_mensuel'].includes(name) ? first / 4 : 0, minimum), value)
  const width = (top - bottom) / 90 || 1, power = 10 ** Math.floor(Math.log10(width))
  const step = Math.max([1, 2, 5, 10].find(m => m * power >= width * .999) * power, type === 'integer' ? 1 : 0), round = v => Number(v.toFixed(6))
  return { step: round(step), min: round(value - Math.floor((value - bottom) / step) * step), max: round(value + Math.floor((top - value) / step) * step), value }
}

export function simulatedBody() { // the decided application with the sliders' values; the service computes a new instalment
  const body = structuredClone(decided.body)
  for (const name of names()) body[field(name).section][name] = now[name]
  if (LOAN.some(name => names().includes(name) && isChanged(name))) delete body.demande.mensualite
  return body
}

export function startWhatIf(body, result) {
  running?.abort()
  clearTimeout(timer)
  decided = { body, result }
  now = Object.fromEntries(names().map(name => [name, given(name)]))
  simulated = changes = trouble = null
  ask('/simulate/changes', { body: JSON.stringify(body) }).then(({ answer }) => { if (decided.body === body) { changes = answer.changements; drawChanges() } },
    refusal => { if (decided.body === body) $('changes')?.replaceChildren(el('p', { class: 'note' }, explain(refusal))) })
}

function move(name, value) {
  now[name] = value
  $(`whatif-${name}-value`).textContent = displayed(name, value)
  $(`whatif-${name}`).setAttribute('aria-valuetext', displayed(name, value))
  running?.abort()
  clearTimeout(timer)
  timer = setTimeout(simulate, PAUSE)
}

async function simulate() {
  if (!names().some(isChanged)) { simulated = trouble = null; return drawSimulated() }
  const mine = running = new AbortController(), body = JSON.stringify(simulatedBody())
  try {
    const { answer } = await ask('/simulate', { body, controller: mine })
    if (mine !== running) return
    simulated = answer
    trouble = null
  } catch (refusal) {
    if (mine !== running || refusal.kind === 'stale') return
    trouble = explain(refusal)
    if (refusal.kind === 'tooMany') timer = setTimeout(simulate, 1000 * (refusal.wait ?? 2))
  }
  drawSimulated()
}

function set(values) { // move several sliders at once
  for (const [name, value] of Object.entries(values)) {
    Object.assign($(`whatif-${name}`), range(name, value))
    move(name, value)
  }
}

function drawSimulated() {
  if (!$('simulated')) return
  const r = simulated ?? decided.result
  $('simulated').replaceChildren(
    el('p', { class: `outcome ${simulated ? r.recommandation : ''}`, id: 'simulated-words', 'data-pd': simulated?.probabilite_defaut },
      trouble ?? (simulated ? t('simulated', percent(r.probabilite_defaut), t(r.recommandation).toLowerCase()) : t('asDecided')), simulated && !trouble && interval(r) ? el('small', {}, ` ${interval(r)}`) : null),
    gauge(r, simulated && decided.result),
    el('p', { class: 'note' }, simulated ? t('beside', number(r.score), r.classe_risque, percent(decided.result.probabilite_defaut), number(decided.result.score), decided.result.classe_risque) : ''))
  const same = !names().some(isChanged)
  $('whatif-reset').disabled = $('whatif-apply').disabled = same
}

function slider(name) {
  const id = `whatif-${name}`
  return el('div', { class: 'slider' }, el('label', { for: id }, label(name)), el('output', { id: `${id}-value`, for: id }, displayed(name, now[name])),
    el('input', { type: 'range', id, ...range(name), 'aria-valuetext': displayed(name, now[name]), oninput: event => move(name, Number(Number(event.target.value).toFixed(6))) }))
}

export function whatIf() {
  const section = el('section', { class: 'block', id: 'whatif', 'aria-labelledby': 'whatif-title' },
    el('h3', { id: 'whatif-title' }, t('whatIf'), el('small', { class: 'tag' }, t('simulation'))),
    el('p', { class: 'note' }, t('whatIfText')), fixed() ? el('p', { class: 'note' }, t('fixedInstalment')) : null,
    el('div', { class: 'sliders' }, ...names().map(slider)),
    el('div', { id: 'simulated', role: 'status' }),
    el('p', { class: 'row' }, el('button', { type: 'button', class: 'secondary', id: 'whatif-reset', onclick: () => set(Object.fromEntries(names().map(name => [name, given(name)]))) }, t('reset')),
      el('button', { type: 'button', class: 'secondary', id: 'whatif-apply', onclick: () => apply(simulatedBody()) }, t('apply'))),
    el('div', { id: 'changes' }))
  queueMicrotask(() => { drawSimulated(); drawChanges() })
  return section
}

function drawChanges() {
  if (!$('changes') || changes === null) return
  const r = decided.result, from = c => `${label(c.champ)} ${number(c.avant, 2)} → ${number(c.apres, 2)} ${unit(c.champ)}`
  const row = change => {
    const words = change.changements.map(from).join(', ')
    return el('li', {}, el('span', {}, ...change.changements.map(c => el('span', { class: 'change' }, from(c)))),
      el('small', {}, percent(change.probabilite_defaut), change.mensualite === null ? '' : ` · ${t('instalment', displayed('mensualite', change.mensualite))}`),
      el('button', { type: 'button', class: 'secondary', 'aria-label': t('tryThis', words), onclick: () => set(Object.fromEntries(names().map(name => [name, change.changements.find(c => c.champ === name)?.apres ?? given(name)]))) }, t('tryIt')))
  }
  const groups = ['accepter', 'examiner'].map(to => [to, changes.filter(c => c.recommandation === to)]).filter(([, list]) => list.length)
  const none = r.recommandation === 'accepter' ? 'nothingBetter' : r.anomalie.est_atypique ? 'atypicalChange' : 'noChange'
  $('changes').replaceChildren(el('h4', {}, t('changes')),
    ...(groups.length ? [el('p', { class: 'note' }, t('smallest')), ...groups.flatMap(([to, list]) => [el('h5', { class: to }, t('toReach', t(`reach_${to}`))), el('ul', {}, ...list.map(row))])] : [el('p', { class: 'note' }, t(none))]))
}
