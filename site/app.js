// The page. Fields, limits, hints and rules come from /openapi.json; every number of a result comes from the service.
// Nothing is computed here: a value that cannot be read as a number is sent as typed, and the service says what is wrong with it.
import { api, displayed, examples, field, label, loadContract, namesOf, SECTIONS, unit, words } from './contract.js'
import { announcement, drawAnswer, nothingYet } from './result.js'
import { ask, key, TIMEOUT } from './service.js'
import { download, drawTab, exportAll, keep, newest, onTab } from './tab.js'
import { onWhatIf, startWhatIf, whatIf } from './whatif.js'
import { $, choose, el, french, inFrench, known, lang, t } from './words.js'

const SLOW = 3_000 // milliseconds without an answer before the page says so

// ---- the form, from the document -----------------------------------------------------------------------------------
const GROUPS = { // section: the groups of fields that are folded away, each with the names that belong to it
  client: { history: /^nb_/ },
  compte: { flows: /solde|credits|debits|releves/, incidents: /decouvert_\d|rejet/ },
  demande: {},
}
const CLIENT_ID = {
  id: 'client_id', name: 'client_id', section: null, pointer: '/client_id', schema: { type: 'integer' },
}
let fields = []     // { id, name, section, pointer, schema } of the form as it is drawn
let typed = {}      // id: what the person typed, kept when the form is drawn again
let source = 'inline'

function input(id, schema, attributes) { // a list of codes, a date, or a text that is read as a number
  if (schema.enum) {
    const name = id.split('-')[1]
    const codes = schema.enum.map(code => el('option', { value: code }, words(name, code)))
    return el('select', attributes, el('option', { value: '' }, t('unknown')), ...codes)
  }
  if (schema.format === 'date') return el('input', { ...attributes, type: 'date' })
  const inputmode = schema.type === 'integer' ? 'numeric' : 'decimal'
  return el('input', { ...attributes, type: 'text', inputmode, spellcheck: 'false' })
}

function control(id, title, hint, schema, required, unitWords) { // a label, an input, and room for an error and a hint
  const described = [`${id}-error`, hint && `${id}-hint`].filter(Boolean).join(' ')
  const box = input(id, schema, {
    id, name: id, 'aria-describedby': described, 'aria-required': required, autocomplete: 'off',
  })
  if (typed[id] !== undefined) box.value = typed[id]
  const hasUnit = unitWords && !schema.enum
  return el('div', { class: 'field', id: `${id}-field` },
    el('label', { for: id },
      title,
      hasUnit ? el('span', { class: 'hidden' }, `, ${unitWords}`) : null,
      required ? el('span', { class: 'tag' }, t('required')) : null),
    el('div', { class: `control${hasUnit ? ' has-unit' : ''}` },
      box,
      hasUnit ? el('span', { class: 'unit', 'aria-hidden': true }, unitWords) : null),
    el('div', {},
      el('p', { class: 'error', id: `${id}-error`, hidden: true }),
      hint ? el('p', { class: 'hint', id: `${id}-hint` }, hint) : null))
}

function fieldOf(name) {
  const { section, schema } = field(name)
  const id = `${section}-${name}`
  const hint = schema[french() ? 'x-aide' : 'x-hint']
  fields.push({ id, name, section, pointer: `/${section}/${name}`, schema })
  return control(id, label(name), hint, schema, schema['x-required'], unit(name))
}

function groupOf(section, name) {
  const found = Object.entries(GROUPS[section]).find(([, pattern]) => pattern.test(name))
  return found?.[0]
}

function part(section, place) { // a section of the form: its main fields, required ones first, then its groups
  const names = namesOf(section)
  const isRequired = name => field(name).schema['x-required']
  const main = names.filter(name => !groupOf(section, name)).sort((a, b) => isRequired(b) - isRequired(a))
  const title = el('h3', { id: `${section}-title` }, el('span', { 'aria-hidden': true }, place), t(section))
  const mainFields = main.map(fieldOf)
  const folded = Object.keys(GROUPS[section]).map(group => {
    const members = names.filter(name => groupOf(section, name) === group)
    return el('details', { class: 'more', 'data-group': group },
      el('summary', {}, t(group), el('small')),
      el('div', { class: 'grid' }, ...members.map(fieldOf)))
  })
  return el('section', { class: 'part', 'aria-labelledby': `${section}-title` },
    title, el('div', { class: 'grid' }, ...mainFields), ...folded)
}

function bankPart() { // the number of a client of the bank, and the facts that the bank has
  fields.push(CLIENT_ID)
  const number = control('client_id', t('clientId'), t('clientIdHint'), CLIENT_ID.schema, true, '')
  return el('section', { class: 'part', 'aria-labelledby': 'client-title' },
    el('h3', { id: 'client-title' }, el('span', { 'aria-hidden': true }, 1), t('client')),
    el('div', { class: 'grid' }, number),
    el('div', { id: 'facts', role: 'status' }))
}

function exampleButton([name, example]) {
  const attributes = { type: 'button', class: 'secondary', id: `example-${name}`, onclick: () => fill(example.value) }
  return el('button', attributes, french() ? example.description : example.summary)
}

function drawForm() {
  if (!api) return
  remember()
  const open = [...document.querySelectorAll('details.more[open]')].map(details => details.dataset.group)
  fields = []
  const parts = source === 'bank'
    ? [bankPart(), part('demande', 2)]
    : SECTIONS.map((section, index) => part(section, index + 1))
  $('fields').replaceChildren(...parts)
  for (const details of document.querySelectorAll('details.more')) details.open = open.includes(details.dataset.group)
  $('examples').hidden = source === 'bank'
  $('example-buttons').replaceChildren(...Object.entries(examples()).map(exampleButton))
  $('form').removeAttribute('aria-busy')
  drawFacts()
  count()
}

function remember() {
  for (const { id } of fields) typed[id] = $(id).value
}

function count() { // how many fields of each group are filled
  for (const details of document.querySelectorAll('details.more')) {
    const inputs = [...details.querySelectorAll('input, select')]
    details.querySelector('small').textContent = t('filled', inputs.filter(i => i.value !== '').length, inputs.length)
  }
}

function asTyped(value) {
  if (typeof value !== 'number') return value
  return value.toLocaleString(lang(), { useGrouping: false, maximumFractionDigits: 20 })
}

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

function body() { // the request as the service reads it
  const request = source === 'bank'
    ? { client_id: null, demande: {} }
    : { client: {}, compte: {}, demande: {} }
  for (const entry of fields) {
    const value = read(entry)
    if (value === undefined) continue
    const holder = entry.section ? request[entry.section] : request
    holder[entry.name] = value
  }
  return request
}

function fill(application) { // the form with the facts of an application
  fields = []
  typed = {}
  for (const section of SECTIONS) {
    for (const [name, value] of Object.entries(application[section] ?? {})) {
      if (value !== null) typed[`${section}-${name}`] = asTyped(value)
    }
  }
  if (source !== 'inline') {
    source = 'inline'
    document.querySelector('[name=source][value=inline]').checked = true
  }
  drawForm()
  clearNotice()
  markStale()
}

// ---- the facts of a client of the bank -----------------------------------------------------------------------------
let facts = null      // { client_id, date_demande, client, compte } of the client typed, or { words } why there are none
let looking = null

async function factsOf(client_id, date, controller) {
  const asOf = date ? `?date=${date}` : ''
  return (await ask(`/clients/${client_id}${asOf}`, { controller })).answer
}

async function lookUp() {
  if (source !== 'bank') return
  const { client_id, demande } = body()
  looking?.abort()
  const mine = looking = new AbortController()
  facts = null
  if (Number.isSafeInteger(client_id) && client_id > 0) {
    try {
      facts = await factsOf(client_id, demande.date_demande, mine)
    } catch (refusal) {
      if (mine !== looking || refusal.kind === 'stale') return
      if (refusal.kind.startsWith('key')) complain(refusal, lookUp)
      else facts = { words: refusal.errors.length ? inFrench(refusal.errors[0].detail) : explain(refusal) }
    }
  }
  if (mine === looking) drawFacts()
}

function copyFacts() { // the facts of the bank into the form, where they can be changed
  remember()
  fill({ ...facts, demande: body().demande })
}

function drawFacts() {
  if (!$('facts')) return
  if (!facts) return $('facts').replaceChildren()
  if (facts.words) return $('facts').replaceChildren(el('p', { class: 'error' }, facts.words))
  const all = ['client', 'compte'].flatMap(section => namesOf(section).map(name => [name, facts[section][name]]))
  const known = all.filter(([, value]) => value !== null)
  const missing = all.length - known.length
  const rows = known.map(([name, value]) =>
    el('div', {}, el('dt', {}, label(name)), el('dd', {}, displayed(name, value))))
  $('facts').replaceChildren(
    el('h4', {}, t('facts', displayed('date_demande', facts.date_demande))),
    el('dl', {}, ...rows),
    el('p', { class: 'note' },
      missing > 0 ? `${t('notKnown', missing)} ` : '',
      el('button', { type: 'button', class: 'link', onclick: copyFacts }, t('copyFacts'))))
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

function clearNotice() {
  notice = null
  $('notice').hidden = true
  clearFieldErrors()
}

function showFieldError(id, sentence) { // beside the field, which is unfolded where it was folded away
  $(id).setAttribute('aria-invalid', 'true')
  $(`${id}-field`).classList.add('wrong')
  $(`${id}-error`).textContent = sentence
  $(`${id}-error`).hidden = false
  const details = $(id).closest('details')
  if (details) details.open = true
}

function goTo(id) {
  $(id).focus()
  $(`${id}-field`).scrollIntoView({ block: 'center' })
}

function errorItem(error) { // a line of the notice; one about a field of the form leads to it
  const wrong = fields.find(({ pointer }) => pointer === error.pointer)
  const sentence = inFrench(error.detail, wrong?.schema)
  if (!wrong) return el('li', {}, sentence)
  showFieldError(wrong.id, sentence)
  const link = el('a', { href: `#${wrong.id}` }, sentence)
  link.addEventListener('click', event => {
    event.preventDefault()
    goTo(wrong.id)
  })
  return el('li', {}, link)
}

function drawNotice(focus = true) {
  if (!notice) return
  const { refusal, again } = notice
  const { kind, errors } = refusal
  const asksForKey = kind.startsWith('key')
  const text = errors.length ? '' : explain(refusal)
  clearFieldErrors()
  $('notice').classList.toggle('calm', kind === 'keyAsk')
  $('notice-title').textContent = t(kind)
  $('notice-text').textContent = text
  $('notice-text').hidden = !text
  $('notice-list').replaceChildren(...errors.map(errorItem))
  $('notice-list').hidden = !errors.length
  $('key-form').hidden = !asksForKey
  $('retry').hidden = asksForKey || errors.length > 0
  $('retry').onclick = again
  $('notice').hidden = false
  if (focus) (asksForKey ? $('key') : $('notice')).focus()
}

function complain(refusal, again) {
  notice = { refusal, again }
  drawNotice()
}

// ---- the decision --------------------------------------------------------------------------------------------------
let running = null // the AbortController of the request under way: an answer that is no longer wanted is dropped
// { sent, once } of a decision that may have been recorded although its answer never arrived. The same token is sent
// again, so that the service answers with that decision and does not record a second one.
let unconfirmed = null
let last = null    // the decision shown: { sent, facts, result, took, at }
let stale = false

function token() { // 32 random hexadecimal digits
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  return [...bytes].map(byte => byte.toString(16).padStart(2, '0')).join('')
}

function showPending() {
  $('submit').setAttribute('aria-busy', 'true')
  $('submit').textContent = t('pending')
}

function showReady() {
  $('submit').removeAttribute('aria-busy')
  $('submit').textContent = t('submit')
  $('wait').textContent = ''
}

async function submit(event) {
  event?.preventDefault()
  if (!api) return load()
  const request = body()
  const sent = JSON.stringify(request)
  if (running?.sent === sent) return
  running?.abort()
  const mine = running = Object.assign(new AbortController(), { sent })
  const once = unconfirmed?.sent === sent ? unconfirmed.once : token()
  const slow = setTimeout(() => { $('wait').textContent = t('slow') }, SLOW)
  showPending()
  try {
    const { answer, took } = await ask('/score', { body: sent, once, controller: mine })
    if (mine === running) showDecision(request, answer, took)
  } catch (refusal) {
    if (mine !== running) return
    if (!refusal.kind) throw refusal
    showRefusal(refusal, sent, once)
  } finally {
    clearTimeout(slow)
    if (mine === running) {
      running = null
      showReady()
    }
  }
}

function showDecision(request, result, took) {
  unconfirmed = null
  clearNotice()
  stale = false
  const inline = 'client_id' in request ? null : request
  shown({ sent: request, facts: inline, result, took, at: new Date().toISOString() }, true)
  if (source === 'bank') return withFacts(last)
  keep(last)
  drawTab(last)
}

function showRefusal(refusal, sent, once) {
  markStale()
  complain(refusal, submit)
  const mayBeRecorded = ['timeout', 'unreachable'].includes(refusal.kind)
  unconfirmed = mayBeRecorded ? { sent, once } : null
  if (mayBeRecorded) service()
}

function withoutNulls(section) {
  return Object.fromEntries(Object.entries(section).filter(([, value]) => value !== null))
}

// A decision on a client of the bank is tried and compared with the facts on which it was made.
async function withFacts(entry) {
  const { client_id, demande } = entry.sent
  const { date_demande } = entry.result
  try {
    const isRead = facts?.client_id === client_id && facts.date_demande === date_demande
    const read = isRead ? facts : await factsOf(client_id, date_demande)
    entry.facts = {
      client: withoutNulls(read.client),
      compte: withoutNulls(read.compte),
      demande: { ...demande, date_demande },
    }
    if (last === entry) drawResult(true)
  } catch {
    entry.facts = { client: {}, compte: {}, demande }
  }
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

async function service() { // whether it is ready, and with which version
  try {
    const response = await fetch('/readyz', { cache: 'no-store' })
    state = response.ok ? ['up', 'up', (await response.json()).version] : ['down', 'down']
  } catch {
    state = ['down', 'down']
  }
  drawService()
}

async function load() {
  service()
  try {
    await loadContract()
  } catch {
    return complain({ kind: 'unreachable', errors: [] }, load)
  }
  clearNotice()
  drawForm()
  if (!key.get()) complain({ kind: 'keyAsk', errors: [] })
  last = newest()
  if (!last) return
  stale = true
  drawResult(true)
  drawTab(last)
}

function draw() { // every word of the page, in the language chosen
  document.documentElement.lang = lang()
  for (const node of document.querySelectorAll('[data-t]')) node.textContent = t(node.dataset.t)
  for (const node of document.querySelectorAll('[data-t-label]')) {
    node.setAttribute('aria-label', t(node.dataset.tLabel))
  }
  for (const button of document.querySelectorAll('[data-lang]')) {
    button.setAttribute('aria-pressed', String(button.dataset.lang === lang()))
  }
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
    const [error] = refusal.errors
    if (!error) return `${t(refusal.kind)}. ${explain(refusal, true)}`
    const name = error.pointer.split('/').pop()
    return `${t(refusal.kind)}. ${inFrench(error.detail, field(name)?.schema)}`
  },
  apply(application) {
    fill(application)
    $('submit').focus()
  },
})

onTab({
  show(entry) {
    stale = false
    shown(entry)
  },
})

for (const button of document.querySelectorAll('[data-lang]')) {
  button.addEventListener('click', () => {
    choose(button.dataset.lang)
    draw()
  })
}

for (const radio of document.getElementsByName('source')) {
  radio.addEventListener('change', () => {
    remember()
    source = radio.value
    facts = null
    clearNotice()
    drawForm()
    markStale()
    lookUp()
  })
}

$('form').addEventListener('submit', submit)
$('submit').addEventListener('click', event => {
  if (event.detail > 1) event.preventDefault() // a double click is one application
})
$('form').addEventListener('input', () => {
  count()
  markStale()
})
$('form').addEventListener('change', event => {
  if (['client_id', 'demande-date_demande'].includes(event.target.id)) lookUp()
})
$('form').addEventListener('reset', event => {
  event.preventDefault()
  fields = []
  typed = {}
  facts = null
  clearNotice()
  drawForm()
  markStale()
  document.querySelector('#fields input, #fields select')?.focus()
})

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
addEventListener('beforeprint', () => { // everything that is folded away is printed too
  for (const details of document.querySelectorAll('details:not([open])')) {
    details.open = true
    details.dataset.closed = ''
  }
})
addEventListener('afterprint', () => {
  for (const details of document.querySelectorAll('details[data-closed]')) {
    details.open = false
    delete details.dataset.closed
  }
})

$('export').addEventListener('click', () => download([last]))
$('export-all').addEventListener('click', exportAll)
addEventListener('hashchange', () => {
  if (takeKey() && !$('key-form').hidden) clearNotice()
})

takeKey()
source = document.querySelector('[name=source]:checked').value
draw()
load()
