// The page. Fields, limits, hints and rules come from /openapi.json; every number of a result comes from the service.
// Nothing is computed here: a value that cannot be read as a number is sent as typed, and the service says what is wrong with it.
import { api, examples, field, label, loadContract, namesOf, said, SECTIONS, unit, words } from './contract.js'
import { announcement, drawAnswer, nothingYet } from './result.js'
import { ask, key, TIMEOUT } from './service.js'
import { download, drawTab, exportAll, keep, newest, onTab } from './tab.js'
import { onWhatIf, startWhatIf, whatIf } from './whatif.js'
import { $, choose, el, french, inFrench, known, lang, t } from './words.js'

const SLOW = 3_000 // milliseconds without an answer before the page says so

// ---- the form, from the document -----------------------------------------------------------------------------------
const GROUPS = { client: { history: /^nb_/ }, compte: { flows: /solde|credits|debits|releves/, incidents: /decouvert_\d|rejet/ }, demande: {} }
const CLIENT_ID = { id: 'client_id', name: 'client_id', section: null, pointer: '/client_id', schema: { type: 'integer' } }
let fields = []     // { id, name, section, pointer, schema } of the form as it is drawn
let typed = {}      // id: what the person typed, kept when the form is drawn again
let source = 'inline'

function control(id, title, hint, schema, required, unitWords) {
  const described = [`${id}-error`, hint && `${id}-hint`].filter(Boolean).join(' ')
  const common = { id, name: id, 'aria-describedby': described, 'aria-required': required, autocomplete: 'off' }
  let input
  if (schema.enum) input = el('select', common, el('option', { value: '' }, t('unknown')), ...schema.enum.map(code => el('option', { value: code }, words(id.split('-')[1], code))))
  else if (schema.format === 'date') input = el('input', { ...common, type: 'date' })
  else input = el('input', { ...common, type: 'text', inputmode: schema.type === 'integer' ? 'numeric' : 'decimal', spellcheck: 'false' })
  if (typed[id] !== undefined) input.value = typed[id]
  const shown = unitWords && !schema.enum && el('span', { class: 'unit', 'aria-hidden': true }, unitWords)
  return el('div', { class: 'field', id: `${id}-field` },
    el('label', { for: id }, title, shown ? el('span', { class: 'hidden' }, `, ${unitWords}`) : null, required ? el('span', { class: 'tag' }, t('required')) : null),
    el('div', { class: `control${shown ? ' has-unit' : ''}` }, input, ...(shown ? [shown] : [])),
    el('div', {}, el('p', { class: 'error', id: `${id}-error`, hidden: true }), hint ? el('p', { class: 'hint', id: `${id}-hint` }, hint) : null))
}

function fieldOf(name) {
  const { section, schema } = field(name), id = `${section}-${name}`
  fields.push({ id, name, section, pointer: `/${section}/${name}`, schema })
  return control(id, label(name), schema[french() ? 'x-aide' : 'x-hint'], schema, schema['x-required'], unit(name))
}

function part(section, place, ...more) {
  const names = namesOf(section), groups = Object.entries(GROUPS[section])
  const inGroup = name => groups.find(([, pattern]) => pattern.test(name))?.[0]
  const first = names.filter(name => !inGroup(name)).sort((a, b) => field(b).schema['x-required'] - field(a).schema['x-required'])
  return el('section', { class: 'part', 'aria-labelledby': `${section}-title` },
    el('h3', { id: `${section}-title` }, el('span', { 'aria-hidden': true }, place), t(section)),
    el('div', { class: 'grid' }, ...first.map(fieldOf)),
    ...groups.map(([group]) => el('details', { class: 'more', 'data-group': group }, el('summary', {}, t(group), el('small')),
      el('div', { class: 'grid' }, ...names.filter(name => inGroup(name) === group).map(fieldOf)))))
}

function bankPart() {
  fields.push(CLIENT_ID)
  return el('section', { class: 'part', 'aria-labelledby': 'client-title' }, el('h3', { id: 'client-title' }, el('span', { 'aria-hidden': true }, 1), t('client')),
    el('div', { class: 'grid' }, control('client_id', t('clientId'), t('clientIdHint'), CLIENT_ID.schema, true, '')), el('div', { id: 'facts', role: 'status' }))
}

function drawForm() {
  if (!api) return
  remember()
  const open = [...document.querySelectorAll('details.more[open]')].map(d => d.dataset.group)
  fields = []
  $('fields').replaceChildren(...(source === 'bank' ? [bankPart(), part('demande', 2)] : SECTIONS.map((section, i) => part(section, i + 1))))
  for (const d of document.querySelectorAll('details.more')) d.open = open.includes(d.dataset.group)
  $('examples').hidden = source === 'bank'
  $('example-buttons').replaceChildren(...Object.entries(examples()).map(([name, e]) =>
    el('button', { type: 'button', class: 'secondary', id: `example-${name}`, onclick: () => fill(e.value) }, french() ? e.description : e.summary)))
  $('form').removeAttribute('aria-busy')
  drawFacts()
  count()
}

const remember = () => { for (const { id } of fields) typed[id] = $(id).value }
function count() {
  for (const details of document.querySelectorAll('details.more')) {
    const inputs = [...details.querySelectorAll('input, select')]
    details.querySelector('small').textContent = t('filled', inputs.filter(i => i.value !== '').length, inputs.length)
  }
}

const asTyped = value => typeof value === 'number' ? value.toLocaleString(lang(), { useGrouping: false, maximumFractionDigits: 20 }) : value

function read({ id, schema }) { // what goes to the service: undefined when empty
  const input = $(id)
  if (input.validity.badInput) return 'incomplete'
  const text = input.value.trim()
  if (text === '') return undefined
  if (schema.type !== 'number' && schema.type !== 'integer') return text
  let plain = text.replace(/[\s\u00a0\u202f']/g, '').replace('−', '-')
  if (/^-?\d{1,3}(,\d{3})+(\.\d+)?$/.test(plain) && !french()) plain = plain.replaceAll(',', '')
  plain = plain.replace(',', '.')
  return /^[-+]?(\d+\.?\d*|\.\d+)$/.test(plain) ? Number(plain) : text
}

function body() {
  const request = source === 'bank' ? { client_id: null, demande: {} } : { client: {}, compte: {}, demande: {} }
  for (const f of fields) {
    const value = read(f)
    if (value !== undefined) (f.section ? request[f.section] : request)[f.name] = value
  }
  return request
}

function fill(application) { // the form with the facts of an application
  fields = []
  typed = {}
  for (const section of SECTIONS) for (const [name, value] of Object.entries(application[section] ?? {})) if (value !== null) typed[`${section}-${name}`] = asTyped(value)
  if (source !== 'inline') { source = 'inline'; document.querySelector('[name=source][value=inline]').checked = true }
  drawForm()
  clearNotice()
  markStale()
}

// ---- the facts of a client of the bank -----------------------------------------------------------------------------
let facts = null      // { client_id, date_demande, client, compte } of the client typed, or { words } why there are none
let looking = null

const factsOf = async (client_id, date, controller) => (await ask(`/clients/${client_id}${date ? `?date=${date}` : ''}`, { controller })).answer

async function lookUp() {
  if (source !== 'bank') return
  const { client_id, demande } = body()
  looking?.abort()
  const mine = looking = new AbortController()
  facts = null
  if (Number.isSafeInteger(client_id) && client_id > 0) {
    try { facts = await factsOf(client_id, demande.date_demande, mine) } catch (refusal) {
      if (mine !== looking || refusal.kind === 'stale') return
      if (refusal.kind.startsWith('key')) complain(refusal, lookUp)
      else facts = { words: refusal.errors.length ? inFrench(refusal.errors[0].detail) : explain(refusal) }
    }
  }
  if (mine === looking) drawFacts()
}

function drawFacts() {
  if (!$('facts')) return
  if (!facts) return $('facts').replaceChildren()
  if (facts.words) return $('facts').replaceChildren(el('p', { class: 'error' }, facts.words))
  const all = ['client', 'compte'].flatMap(section => namesOf(section).map(name => [name, facts[section][name]])), have = all.filter(([, value]) => value !== null)
  $('facts').replaceChildren(el('h4', {}, t('facts', said('date_demande', facts.date_demande))),
    el('dl', {}, ...have.map(([name, value]) => el('div', {}, el('dt', {}, label(name)), el('dd', {}, said(name, value))))),
    el('p', { class: 'note' }, have.length < all.length ? `${t('notKnown', all.length - have.length)} ` : '',
      el('button', { type: 'button', class: 'link', onclick: () => { remember(); fill({ ...facts, demande: body().demande }) } }, t('copyFacts'))))
}

// ---- errors --------------------------------------------------------------------------------------------------------
let notice = null // { refusal, again }: drawn anew in the other language

function explain({ kind, problem, detail, wait }, simulation) { // one sentence
  if (kind === 'timeout') return t(simulation ? 'simTimeout' : 'timeoutText', TIMEOUT / 1000)
  if (kind === 'unreachable') return t('unreachableText')
  if (kind === 'keyScope') return t('keyScopeText')
  if (kind.startsWith('key')) return t('keyText')
  const text = known(problem) ? t(problem) : french() ? '' : detail
  return [text, wait ? t('wait', wait) : ''].filter(Boolean).join(' ')
}

function clearFieldErrors() {
  for (const { id } of fields) {
    $(id).removeAttribute('aria-invalid')
    $(`${id}-field`).classList.remove('wrong')
    $(`${id}-error`).hidden = true
  }
}

function clearNotice() { notice = null; $('notice').hidden = true; clearFieldErrors() }

function drawNotice(focus = true) {
  if (!notice) return
  const { refusal, again } = notice, { kind, errors } = refusal, asks = kind.startsWith('key')
  const text = errors.length ? '' : explain(refusal)
  clearFieldErrors()
  $('notice').classList.toggle('calm', kind === 'keyAsk')
  $('notice-title').textContent = t(kind)
  $('notice-text').textContent = text
  $('notice-text').hidden = !text
  $('notice-list').replaceChildren(...errors.map(error => {
    const f = fields.find(f => f.pointer === error.pointer), sentence = inFrench(error.detail, f?.schema)
    if (!f) return el('li', {}, sentence)
    $(f.id).setAttribute('aria-invalid', 'true')
    $(`${f.id}-field`).classList.add('wrong')
    $(`${f.id}-error`).textContent = sentence
    $(`${f.id}-error`).hidden = false
    const details = $(f.id).closest('details')
    if (details) details.open = true
    const link = el('a', { href: `#${f.id}` }, sentence)
    link.addEventListener('click', event => { event.preventDefault(); $(f.id).focus(); $(`${f.id}-field`).scrollIntoView({ block: 'center' }) })
    return el('li', {}, link)
  }))
  $('notice-list').hidden = !errors.length
  $('key-form').hidden = !asks
  $('retry').hidden = asks || errors.length > 0
  $('retry').onclick = again
  $('notice').hidden = false
  if (focus) (asks ? $('key') : $('notice')).focus()
}

function complain(refusal, again) { notice = { refusal, again }; drawNotice() }

// ---- the decision --------------------------------------------------------------------------------------------------
let running = null // the AbortController of the request under way: an answer that is no longer wanted is dropped
let doubt = null   // { sent, once } of a decision that may have been recorded without its answer arriving: asked again, it is the same one
let last = null    // the decision shown: { sent, facts, result, took, at }
let stale = false

const token = () => [...crypto.getRandomValues(new Uint8Array(16))].map(byte => byte.toString(16).padStart(2, '0')).join('')

async function submit(event) {
  event?.preventDefault()
  if (!api) return load()
  const request = body(), sent = JSON.stringify(request)
  if (running?.sent === sent) return
  running?.abort()
  const mine = running = Object.assign(new AbortController(), { sent }), once = doubt?.sent === sent ? doubt.once : token()
  const slow = setTimeout(() => { $('wait').textContent = t('slow') }, SLOW)
  $('submit').setAttribute('aria-busy', 'true')
  $('submit').textContent = t('pending')
  try {
    const { answer, took } = await ask('/score', { body: sent, once, controller: mine })
    if (mine !== running) return
    doubt = null
    clearNotice()
    stale = false
    shown({ sent: request, facts: 'client_id' in request ? null : request, result: answer, took, at: new Date().toISOString() }, true)
    if (source === 'bank') withFacts(last)
    else { keep(last); drawTab(last) }
  } catch (refusal) {
    if (mine !== running) return
    if (!refusal.kind) throw refusal
    markStale()
    complain(refusal, submit)
    doubt = ['timeout', 'unreachable'].includes(refusal.kind) ? { sent, once } : null
    if (doubt) service()
  } finally {
    clearTimeout(slow)
    if (mine === running) {
      running = null
      $('submit').removeAttribute('aria-busy')
      $('submit').textContent = t('submit')
      $('wait').textContent = ''
    }
  }
}

async function withFacts(entry) { // a decision on a client of the bank needs the facts that it was made on to be tried and compared
  const { client_id } = entry.sent, known = part => Object.fromEntries(Object.entries(part).filter(([, value]) => value !== null))
  try {
    const read = facts?.client_id === client_id && facts.date_demande === entry.result.date_demande ? facts : await factsOf(client_id, entry.result.date_demande)
    entry.facts = { client: known(read.client), compte: known(read.compte), demande: { ...entry.sent.demande, date_demande: entry.result.date_demande } }
    if (last === entry) drawResult(true)
  } catch { entry.facts = { client: {}, compte: {}, demande: entry.sent.demande } }
  keep(entry)
  drawTab(last)
}

function shown(entry, isNew = false) {
  last = entry
  drawResult(true)
  drawTab(last)
  if (isNew) $('live').textContent = announcement(entry.result)
  if (matchMedia('(max-width: 62rem)').matches || !isNew) $('result-title').focus({ preventScroll: true })
  $('result').scrollIntoView()
}

function drawResult(isOther = false) {
  $('result-tools').hidden = !last
  if (!last) return $('answer').replaceChildren(nothingYet())
  const whole = last.facts && Object.keys(last.facts.client).length > 0 // else the bank could not be asked for the facts
  if (whole && isOther) startWhatIf(last.facts, last.result)
  drawAnswer(last, stale, whole ? whatIf() : null)
}

function markStale() {
  stale = last !== null
  if ($('stale')) $('stale').hidden = !stale
}

// ---- start ---------------------------------------------------------------------------------------------------------
let state = null // [class, key of WORDS, value] of the service
function drawService() {
  $('service').className = `status ${state?.[0] ?? ''}`
  $('service').textContent = state ? t(state[1], state[2]) : ''
}
async function service() {
  try {
    const response = await fetch('/readyz', { cache: 'no-store' })
    state = response.ok ? ['up', 'up', (await response.json()).version] : ['down', 'down']
  } catch { state = ['down', 'down'] }
  drawService()
}

async function load() {
  service()
  try { await loadContract() } catch { return complain({ kind: 'unreachable', errors: [] }, load) }
  clearNotice()
  drawForm()
  if (!key.get()) complain({ kind: 'keyAsk', errors: [] })
  last = newest()
  if (last) { stale = true; drawResult(true); drawTab(last) }
}

function draw() { // every word of the page, in the language chosen
  document.documentElement.lang = lang()
  for (const node of document.querySelectorAll('[data-t]')) node.textContent = t(node.dataset.t)
  for (const node of document.querySelectorAll('[data-t-label]')) node.setAttribute('aria-label', t(node.dataset.tLabel))
  for (const button of document.querySelectorAll('[data-lang]')) button.setAttribute('aria-pressed', String(button.dataset.lang === lang()))
  document.title = `${t('title')} – credit-risk`
  drawForm()
  drawNotice(false)
  drawResult()
  drawTab(last)
  drawService()
}

function takeKey() { // from the address, which then no longer shows it
  const given = new URLSearchParams(location.hash.slice(1)).get('key')
  if (!given) return false
  key.set(given)
  history.replaceState(null, '', location.pathname + location.search)
  return true
}

onWhatIf({
  explain(refusal) {
    if (refusal.kind.startsWith('key')) complain(refusal)
    return `${t(refusal.kind)}. ${refusal.errors.length ? inFrench(refusal.errors[0].detail, field(refusal.errors[0].pointer.split('/').pop())?.schema) : explain(refusal, true)}`
  },
  apply(application) { fill(application); $('submit').focus() },
})
onTab({ show: entry => { stale = false; shown(entry) } })
for (const button of document.querySelectorAll('[data-lang]')) button.addEventListener('click', () => { choose(button.dataset.lang); draw() })
for (const radio of document.getElementsByName('source')) radio.addEventListener('change', () => { remember(); source = radio.value; facts = null; clearNotice(); drawForm(); markStale(); lookUp() })
$('form').addEventListener('submit', submit)
$('submit').addEventListener('click', event => { if (event.detail > 1) event.preventDefault() }) // a double click is one application
$('form').addEventListener('input', () => { count(); markStale() })
$('form').addEventListener('change', event => { if (['client_id', 'demande-date_demande'].includes(event.target.id)) lookUp() })
$('form').addEventListener('reset', event => { event.preventDefault(); fields = []; typed = {}; facts = null; clearNotice(); drawForm(); markStale(); document.querySelector('#fields input, #fields select')?.focus() })
$('key-form').addEventListener('submit', event => {
  event.preventDefault()
  const given = $('key').value.trim()
  if (!given) return
  key.set(given)
  $('key').value = ''
  clearNotice()
  $('submit').focus()
  lookUp()
})
$('print').addEventListener('click', () => print())
addEventListener('beforeprint', () => { for (const d of document.querySelectorAll('details:not([open])')) { d.open = true; d.dataset.closed = '' } })
addEventListener('afterprint', () => { for (const d of document.querySelectorAll('details[data-closed]')) { d.open = false; delete d.dataset.closed } })
$('export').addEventListener('click', () => download([last]))
$('export-all').addEventListener('click', exportAll)
addEventListener('hashchange', () => { if (takeKey() && !$('key-form').hidden) clearNotice() })
takeKey()
source = document.querySelector('[name=source]:checked').value
draw()
load()
