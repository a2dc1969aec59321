// The page. Fields, limits, hints and rules come from /openapi.json; every number of a result comes from POST /score.
// Nothing is computed here: a value that cannot be read as a number is sent as typed, and the service says what is wrong with it.

const TIMEOUT = 15_000 // milliseconds
const SECTIONS = ['client', 'compte', 'demande']
const $ = id => document.getElementById(id)

// ---- words ---------------------------------------------------------------------------------------------------------
const WORDS = { // key: [French, English]
  skip: ['Aller à la demande', 'Skip to the application'], language: ['Langue', 'Language'],
  title: ['Demande de prêt', 'Loan application'], application: ['Demande', 'Application'],
  lead: ['Saisissez ce qui est connu. Seuls les champs marqués obligatoires sont nécessaires ; tous les autres affinent la réponse.',
    'Enter what is known. Only the fields marked as required are needed; everything else sharpens the answer.'],
  source: ['Origine des informations', 'Where the facts come from'], inline: ['Saisir les informations', 'Enter the facts'],
  bank: ['Client de la banque', 'Client of the bank'], example: ['Remplir avec l’exemple', 'Fill in the example'],
  loading: ['Chargement du formulaire…', 'Loading the form…'], submit: ['Évaluer cette demande', 'Score this application'],
  pending: ['Évaluation…', 'Scoring…'], clear: ['Vider le formulaire', 'Clear the form'], result: ['Résultat', 'Result'],
  footer: ['Chaque décision est enregistrée, avec ses informations et ses raisons, avant d’être affichée ici.',
    'Each decision is recorded, with its facts and its reasons, before it is shown here.'],
  key: ['Clé d’API', 'API key'], useKey: ['Utiliser cette clé', 'Use this key'], retry: ['Réessayer', 'Try again'],
  client: ['Client', 'Client'], compte: ['Compte', 'Account'], demande: ['Prêt', 'Loan'],
  history: ['Prêts et demandes passés', 'Past loans and applications'], flows: ['Soldes et mouvements', 'Balances and flows'],
  incidents: ['Incidents', 'Incidents'], filled: ['{0} sur {1} renseignés', '{0} of {1} known'],
  required: ['obligatoire', 'required'], unknown: ['non renseigné', 'not known'],
  clientId: ['Numéro de client', 'Client number'],
  clientIdHint: ['Les informations du client et de ses comptes sont lues dans la base de la banque, à la date de la demande.',
    'The facts of the client and their accounts are read from the bank’s database, as of the date of the application.'],
  empty: ['La réponse s’affichera ici :', 'The answer will appear here:'],
  empty1: ['la probabilité de défaut, et la recommandation', 'the probability of default, and the recommendation'],
  empty2: ['les raisons, dont la somme fait le score', 'the reasons, whose sum makes the score'],
  empty3: ['si la demande est atypique, et pourquoi', 'whether the application is atypical, and why'],
  accepter: ['Recommandation : accepter', 'Recommendation: accept'], examiner: ['Recommandation : examiner', 'Recommendation: review'],
  refuser: ['Recommandation : refuser', 'Recommendation: decline'], pd: ['Probabilité de défaut', 'Probability of default'],
  oneIn: ['Environ 1 prêt sur {0} de ce profil finit en défaut.', 'About 1 loan in {0} with this profile ends in default.'],
  inTen: ['Environ {0} prêts sur 10 de ce profil finissent en défaut.', 'About {0} loans in 10 with this profile end in default.'],
  points: ['Score', 'Score'], grade: ['Classe de risque', 'Risk class'],
  why: ['Pourquoi ce résultat', 'Why this result'], lowers: ['réduit le risque', 'lowers the risk'], raises: ['augmente le risque', 'raises the risk'],
  base: ['Point de départ : la demande moyenne', 'Starting point: the average application'], total: ['Total, soit {0}', 'Total, which is {0}'],
  unitReason: ['En log-cotes de défaut : le point de départ et les barres font le total.', 'In log-odds of default: the starting point and the bars make the total.'],
  usual: ['Demande habituelle', 'Usual application'], atypical: ['Demande atypique', 'Atypical application'],
  percentile: ['Plus inhabituelle que {0} des demandes ordinaires.', 'More unusual than {0} of usual applications.'],
  atypicalWhy: ['Ce qui sort de l’ordinaire', 'What is out of the ordinary'], unitOdd: ['Surprise, en nats.', 'Surprise, in nats.'],
  model: ['Modèle', 'Model'], decision: ['Décision', 'Decision'], date: ['Date de la demande', 'Date of application'], took: ['Répondu en', 'Answered in'],
  stale: ['Le formulaire a changé depuis ce résultat.', 'The form has changed since this result.'],
  up: ['Service disponible · modèle {0}', 'Service available · model {0}'], down: ['Service indisponible', 'Service unavailable'],
  problem: ['La demande n’est pas complète ou pas valide', 'The application is not complete or not valid'],
  keyAsk: ['Une clé d’API est nécessaire', 'An API key is needed'], keyRefused: ['La clé a été refusée', 'The key was refused'],
  keyText: ['Collez la clé reçue de votre administrateur. Elle n’est gardée que pour cet onglet. Rien de ce que vous avez saisi n’est perdu.',
    'Paste the key that your administrator gave you. It is kept for this tab only. Nothing that you typed is lost.'],
  unreachable: ['Le service est injoignable', 'The service cannot be reached'],
  unreachableText: ['Vérifiez qu’il fonctionne et que le réseau est disponible. Rien de ce que vous avez saisi n’est perdu.',
    'Check that it runs and that the network is up. Nothing that you typed is lost.'],
  timeout: ['Le service n’a pas répondu à temps', 'The service did not answer in time'],
  timeoutText: ['Aucune réponse en {0} secondes. La décision a pu être enregistrée ; une nouvelle évaluation en enregistrera une autre.',
    'No answer in {0} seconds. The decision may have been recorded; scoring again records another one.'],
  busy: ['Le service ne peut pas répondre maintenant', 'The service cannot answer now'],
  failed: ['Le service a échoué', 'The service failed'], tooMany: ['Trop de demandes en peu de temps', 'Too many requests in a short time'],
  'audit-unavailable': ['La décision n’a pas pu être enregistrée : aucune n’est donnée. Réessayez dans un instant.', ''],
  'bank-unavailable': ['La base de la banque ne répond pas. Réessayez dans un instant, ou saisissez les informations.', ''],
  'internal-error': ['Réessayez plus tard ; aucune décision n’a été prise.', ''],
  announce: ['{0}. Probabilité de défaut {1}, classe {2}. {3}.', '{0}. Probability of default {1}, class {2}. {3}.'],
}
const FRENCH = [ // sentences of the service that compare fields, and their French
  [/^(\w+) is required: (.*)$/, '$1 est obligatoire'], [/^(\w+) must not be later than today, (.*)$/, '$1 ne doit pas être postérieure à aujourd’hui, $2'],
  [/^(\w+) must not be later than (\w+), (.*)$/, '$1 ne doit pas être postérieure à $2, $3'],
  [/^(\w+) must make the client (\d+) to (\d+) years old on (.*)$/, '$1 doit donner au client de $2 à $3 ans le $4'],
  [/^(\w+) must be at least (\d+) years after (\w+)$/, '$1 doit suivre $3 d’au moins $2 ans'], [/^(\w+) must not be larger than (\w+)$/, '$1 ne doit pas dépasser $2'],
  [/^client_id must be a whole number between (.*) and (.*)$/, 'client_id doit être un nombre entier entre $1 et $2'],
  [/^client_id (\d+) is not a client of the bank$/, 'client_id $1 n’est pas un client de la banque'],
]
let lang = sessionStorage.getItem('lang') ?? ((navigator.languages ?? [navigator.language])[0].toLowerCase().startsWith('fr') ? 'fr' : 'en')
const french = () => lang === 'fr'
const t = (key, ...values) => values.reduce((text, value, i) => text.replace(`{${i}}`, value), WORDS[key][french() ? 0 : 1])
const percent = (x, digits) => x.toLocaleString(lang, { style: 'percent', maximumFractionDigits: digits, minimumFractionDigits: digits })
const signed = x => x.toLocaleString(lang, { signDisplay: 'exceptZero', minimumFractionDigits: 2, maximumFractionDigits: 2 })

// ---- elements ------------------------------------------------------------------------------------------------------
function el(tag, attributes = {}, ...children) {
  const svg = ['svg', 'rect', 'line', 'path', 'circle'].includes(tag)
  const node = svg ? document.createElementNS('http://www.w3.org/2000/svg', tag) : document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) if (value !== undefined && value !== false) node.setAttribute(name, value === true && !name.startsWith('aria-') ? '' : value)
  node.append(...children.filter(child => child !== null && child !== undefined))
  return node
}
const icon = path => el('svg', { viewBox: '0 0 24 24', 'aria-hidden': true, fill: 'none', stroke: 'currentColor', 'stroke-width': 2.4, 'stroke-linecap': 'round', 'stroke-linejoin': 'round' },
  el('path', { d: path }))
const ICONS = { accepter: 'M4 12.5l5 5L20 6.5', examiner: 'M12 7v6M12 17v.01M12 2.5 22 20.5H2z', refuser: 'M6 6l12 12M18 6 6 18' }

// ---- the form, from the document -----------------------------------------------------------------------------------
const GROUPS = { client: { history: /^nb_/ }, compte: { flows: /solde|credits|debits|releves/, incidents: /decouvert_\d|rejet/ }, demande: {} }
let api = null      // the OpenAPI document
let fields = []     // { id, name, section, pointer, schema }
let typed = {}      // id: what the person typed, kept when the form is drawn again
let source = 'inline'

const model = name => api.components.schemas[name]
function property(section, name) {
  const p = model(section[0].toUpperCase() + section.slice(1)).properties[name]
  return p.anyOf?.find(s => s.type !== 'null') ?? p
}

function field(section, name) {
  const schema = property(section, name), id = `${section}-${name}`
  fields.push({ id, name, section, pointer: `/${section}/${name}`, schema })
  return control(id, schema[french() ? 'x-libelle' : 'x-label'], schema[french() ? 'x-aide' : 'x-hint'], schema, schema['x-required'], schema[french() ? 'x-unite' : 'x-unit'])
}

function control(id, label, hint, schema, required, unit) {
  const described = [`${id}-error`, hint && `${id}-hint`].filter(Boolean).join(' ')
  const common = { id, name: id, 'aria-describedby': described, 'aria-required': required, autocomplete: 'off' }
  let input
  if (schema.enum) {
    input = el('select', common, el('option', { value: '' }, t('unknown')),
      ...schema.enum.map(code => el('option', { value: code }, schema[french() ? 'x-libelles' : 'x-labels'][code])))
  } else if (schema.format === 'date') input = el('input', { ...common, type: 'date' })
  else input = el('input', { ...common, type: 'text', inputmode: schema.type === 'integer' ? 'numeric' : 'decimal', spellcheck: 'false' })
  if (typed[id] !== undefined) input.value = typed[id]
  const shown = unit && !schema.enum && el('span', { class: 'unit', 'aria-hidden': true }, unit)
  return el('div', { class: 'field', id: `${id}-field` },
    el('label', { for: id }, label, shown ? el('span', { class: 'hidden' }, `, ${unit}`) : null, required ? el('span', { class: 'tag' }, t('required')) : null),
    el('div', { class: `control${shown ? ' has-unit' : ''}` }, input, ...(shown ? [shown] : [])),
    el('div', {}, el('p', { class: 'error', id: `${id}-error`, hidden: true }), hint ? el('p', { class: 'hint', id: `${id}-hint` }, hint) : null))
}

function part(section, number) {
  const names = Object.keys(model(section[0].toUpperCase() + section.slice(1)).properties), groups = Object.entries(GROUPS[section] ?? {})
  const inGroup = name => groups.find(([, pattern]) => pattern.test(name))?.[0]
  const first = names.filter(name => !inGroup(name)).sort((a, b) => property(section, b)['x-required'] - property(section, a)['x-required'])
  return el('section', { class: 'part', 'aria-labelledby': `${section}-title` },
    el('h3', { id: `${section}-title` }, el('span', { 'aria-hidden': true }, number), t(section)),
    el('div', { class: 'grid' }, ...first.map(name => field(section, name))),
    ...groups.map(([group]) => el('details', { class: 'more', 'data-group': group }, el('summary', {}, t(group), el('small')),
      el('div', { class: 'grid' }, ...names.filter(name => inGroup(name) === group).map(name => field(section, name))))))
}

function bankPart() {
  fields.push({ id: 'client_id', name: 'client_id', section: null, pointer: '/client_id', schema: { type: 'integer' } })
  return el('section', { class: 'part', 'aria-labelledby': 'client-title' }, el('h3', { id: 'client-title' }, el('span', { 'aria-hidden': true }, 1), t('client')),
    el('div', { class: 'grid' }, control('client_id', t('clientId'), t('clientIdHint'), { type: 'integer' }, true, '')))
}

function drawForm() {
  if (!api) return
  remember()
  const open = [...document.querySelectorAll('details.more[open]')].map(d => d.dataset.group)
  fields = []
  $('fields').replaceChildren(...(source === 'bank' ? [bankPart(), part('demande', 2)] : SECTIONS.map((section, i) => part(section, i + 1))))
  for (const d of document.querySelectorAll('details.more')) d.open = open.includes(d.dataset.group)
  $('form').removeAttribute('aria-busy')
  count()
}

const remember = () => { for (const { id } of fields) typed[id] = $(id).value }
function count() {
  for (const details of document.querySelectorAll('details.more')) {
    const inputs = [...details.querySelectorAll('input, select')]
    details.querySelector('small').textContent = t('filled', inputs.filter(i => i.value !== '').length, inputs.length)
  }
}

function show(value, schema) { // a value of the document as a person types it
  return typeof value === 'number' ? value.toLocaleString(lang, { useGrouping: false, maximumFractionDigits: 20 }) : value
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

function body() {
  const request = source === 'bank' ? { client_id: null, demande: {} } : { client: {}, compte: {}, demande: {} }
  for (const f of fields) {
    const value = read(f)
    if (value !== undefined) (f.section ? request[f.section] : request)[f.name] = value
  }
  return request
}

function fillExample() {
  const example = api.paths['/score'].post.requestBody.content['application/json'].example
  typed = {}
  fields = []
  for (const section of SECTIONS) for (const [name, value] of Object.entries(example[section] ?? {})) typed[`${section}-${name}`] = show(value)
  if (source === 'bank') typed.client_id = '1'
  drawForm()
  clearNotice()
  markStale()
}

// ---- errors --------------------------------------------------------------------------------------------------------
let notice = null // how to draw the notice again in the other language

function translate({ pointer, detail }) {
  if (!french()) return detail
  const f = fields.find(f => f.pointer === pointer)
  if (f?.schema['x-rule'] === detail) return f.schema['x-regle']
  const [pattern, words] = FRENCH.find(([pattern]) => pattern.test(detail)) ?? []
  const text = pattern ? detail.replace(pattern, words) : detail
  return /est obligatoire$/.test(text) && f?.schema['x-regle'] ? `${text} : ${f.schema['x-regle']}` : text
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
  const { title, text = '', errors = [], askKey = false, calm = false, retry = null } = notice()
  clearFieldErrors()
  $('notice').classList.toggle('calm', calm)
  $('notice-title').textContent = title
  $('notice-text').textContent = text
  $('notice-text').hidden = !text
  $('notice-list').replaceChildren(...errors.map(error => {
    const f = fields.find(f => f.pointer === error.pointer), words = translate(error)
    if (!f) return el('li', {}, words)
    $(f.id).setAttribute('aria-invalid', 'true')
    $(`${f.id}-field`).classList.add('wrong')
    $(`${f.id}-error`).textContent = words
    $(`${f.id}-error`).hidden = false
    const details = $(f.id).closest('details')
    if (details) details.open = true
    const link = el('a', { href: `#${f.id}` }, words)
    link.addEventListener('click', event => { event.preventDefault(); $(f.id).focus(); $(`${f.id}-field`).scrollIntoView({ block: 'center' }) })
    return el('li', {}, link)
  }))
  $('notice-list').hidden = !errors.length
  $('key-form').hidden = !askKey
  $('retry').hidden = !retry
  $('retry').onclick = retry
  $('notice').hidden = false
  if (focus) (askKey ? $('key') : $('notice')).focus()
}

const complain = how => { notice = how; drawNotice() }
const askKey = refused => complain(() => ({ title: t(refused ? 'keyRefused' : 'keyAsk'), text: t('keyText'), askKey: true, calm: !refused }))

// ---- the request ---------------------------------------------------------------------------------------------------
let running = null // the AbortController of the request under way: an answer that is no longer wanted is dropped
let last = null    // { result, took } of the last answer
let stale = false

async function submit(event) {
  event?.preventDefault()
  if (!api) return load()
  const key = sessionStorage.getItem('key')
  if (!key) return askKey(false)
  const sent = JSON.stringify(body())
  if (running?.sent === sent) return
  running?.abort()
  const mine = running = Object.assign(new AbortController(), { sent }), timer = setTimeout(() => mine.abort('timeout'), TIMEOUT), start = performance.now()
  $('submit').setAttribute('aria-busy', 'true')
  $('submit').textContent = t('pending')
  try {
    const response = await fetch('/score', { method: 'POST', signal: mine.signal, cache: 'no-store', body: sent,
      headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${key}` } })
    const answer = await response.json()
    if (mine !== running) return
    if (response.ok) {
      clearNotice()
      last = { result: answer, took: performance.now() - start }
      stale = false
      drawResult(true)
      return
    }
    markStale()
    if (response.status === 401) { sessionStorage.removeItem('key'); return askKey(true) }
    if (answer.errors) return complain(() => ({ title: t('problem'), errors: answer.errors }))
    const kind = answer.type?.split('/').pop()
    const title = response.status === 503 ? 'busy' : response.status === 429 ? 'tooMany' : 'failed'
    complain(() => ({ title: t(title), text: (french() && WORDS[kind]?.[0]) || answer.detail, retry: submit }))
  } catch {
    if (mine !== running) return
    markStale()
    if (mine.signal.reason === 'timeout') complain(() => ({ title: t('timeout'), text: t('timeoutText', TIMEOUT / 1000), retry: submit }))
    else complain(() => ({ title: t('unreachable'), text: t('unreachableText'), retry: submit }))
    service()
  } finally {
    clearTimeout(timer)
    if (mine === running) {
      running = null
      $('submit').removeAttribute('aria-busy')
      $('submit').textContent = t('submit')
    }
  }
}

// ---- the result ----------------------------------------------------------------------------------------------------
const reason = r => r[french() ? 'libelle' : 'label']

function bars(reasons, scale, oneSided) {
  return el('ol', { class: 'reasons' }, ...reasons.map(r => {
    const size = Math.min(Math.abs(r.contribution) / scale, 1) * (oneSided ? 100 : 50), up = r.contribution >= 0
    return el('li', {}, el('span', {}, reason(r)), el('output', {}, signed(r.contribution)),
      el('svg', { 'aria-hidden': true }, el('rect', { class: 'rail', width: '100%', height: '100%', rx: 2 }),
        el('rect', { class: `bar-value ${oneSided ? 'odd' : up ? 'up' : 'down'}`, x: `${oneSided ? 0 : up ? 50 : 50 - size}%`, width: `${Math.max(size, .3)}%`, height: '100%' }),
        el('line', { class: 'axis', x1: oneSided ? '0' : '50%', x2: oneSided ? '0' : '50%', y1: 0, y2: '100%' })))
  }))
}

const widest = reasons => Math.max(...reasons.map(r => Math.abs(r.contribution))) || 1
const step = (words, value) => el('p', { class: 'step' }, el('span', {}, words), el('output', {}, signed(value)))

function words(p) {
  if (p >= .15) return t('inTen', Math.round(p * 10))
  return t('oneIn', Math.max(1, Math.round(1 / Math.max(p, 1e-4))).toLocaleString(lang))
}

function hundred(p) { // a hundred loans like this one, those that default filled
  const on = Math.round(p * 100)
  return el('svg', { class: 'hundred', viewBox: '0 0 100 100', 'aria-hidden': true },
    ...Array.from({ length: 100 }, (_, i) => el('rect', { x: i % 10 * 10 + 1, y: Math.floor(i / 10) * 10 + 1, width: 8, height: 8, rx: 1.5, class: i < on ? 'on' : 'off' })))
}

function drawResult(announce = false) {
  if (!last) {
    $('answer').replaceChildren(el('div', { class: 'empty' }, el('p', {}, t('empty')), el('ul', {}, ...['empty1', 'empty2', 'empty3'].map(key => el('li', {}, t(key))))))
    return
  }
  const { result: r, took } = last, a = r.anomalie, odd = a.est_atypique
  const pd = percent(r.probabilite_defaut, r.probabilite_defaut < .1 ? 1 : 0)
  $('answer').replaceChildren(
    el('p', { class: 'stale', id: 'stale', hidden: !stale }, t('stale')),
    el('p', { class: `verdict ${r.recommandation}` }, icon(ICONS[r.recommandation]), t(r.recommandation)),
    el('dl', { class: 'headline' }, el('div', {}, el('dt', {}, t('pd')), el('dd', { class: 'pd', id: 'pd' }, pd), el('dd', { class: 'words' }, words(r.probabilite_defaut))),
      el('dd', {}, hundred(r.probabilite_defaut))),
    el('dl', { class: 'figures' }, el('div', {}, el('dt', {}, t('points')), el('dd', { id: 'points' }, r.score.toLocaleString(lang))),
      el('div', {}, el('dt', {}, t('grade')), el('dd', {}, el('ol', { class: 'classes', id: 'grade' },
        ...[...'ABCDEFG'].map(c => el('li', { 'aria-current': c === r.classe_risque && 'true' }, c)))))),
    el('div', { class: 'block', id: 'anomaly' },
      el('div', { class: `flag ${odd ? 'atypical' : 'usual'}` }, icon(ICONS[odd ? 'examiner' : 'accepter']),
        el('div', {}, el('h3', {}, t(odd ? 'atypical' : 'usual')), el('p', {}, t('percentile', percent(a.percentile / 100, a.percentile > 99 ? 1 : 0))))),
      a.raisons.length ? el('details', { open: odd }, el('summary', {}, t('atypicalWhy')), bars(a.raisons, widest(a.raisons), true), el('p', { class: 'note' }, t('unitOdd'))) : null),
    el('div', { class: 'block', id: 'reasons' }, el('h3', {}, t('why')),
      el('p', { class: 'legend' }, el('span', { class: 'l' }, el('b', {}, '← '), t('lowers')), el('span', { class: 'r' }, t('raises'), el('b', {}, ' →'))),
      step(t('base'), r.base), bars(r.raisons, widest(r.raisons), false), step(t('total', pd), r.base + r.raisons.reduce((sum, reason) => sum + reason.contribution, 0)),
      el('p', { class: 'note' }, t('unitReason'))),
    el('dl', { class: 'trace block' }, el('dt', {}, t('decision')), el('dd', { id: 'decision' }, r.decision_id), el('dt', {}, t('model')), el('dd', {}, r.modele.version),
      el('dt', {}, t('date')), el('dd', {}, r.date_demande), el('dt', {}, t('took')), el('dd', {}, `${Math.round(took).toLocaleString(lang)} ms`)))
  if (!announce) return
  $('live').textContent = t('announce', t(r.recommandation), pd, r.classe_risque, t(odd ? 'atypical' : 'usual'))
  if (matchMedia('(max-width: 62rem)').matches) { $('result-title').focus({ preventScroll: true }); $('result').scrollIntoView() }
  else $('result').scrollTop = 0
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
  try {
    const response = await fetch('/openapi.json')
    if (!response.ok) throw new Error(response.status)
    api = await response.json()
    clearNotice()
    drawForm()
    if (!sessionStorage.getItem('key')) askKey(false)
  } catch { complain(() => ({ title: t('unreachable'), text: t('unreachableText'), retry: load })) }
}

function draw() { // every word of the page, in the language chosen
  document.documentElement.lang = lang
  for (const node of document.querySelectorAll('[data-t]')) node.textContent = t(node.dataset.t)
  for (const node of document.querySelectorAll('[data-t-label]')) node.setAttribute('aria-label', t(node.dataset.tLabel))
  for (const button of document.querySelectorAll('[data-lang]')) button.setAttribute('aria-pressed', String(button.dataset.lang === lang))
  document.title = `${t('title')} – credit-risk`
  drawForm()
  drawNotice(false)
  drawResult()
  drawService()
}

function takeKey() { // from the address, which then no longer shows it
  const key = new URLSearchParams(location.hash.slice(1)).get('key')
  if (!key) return false
  sessionStorage.setItem('key', key)
  history.replaceState(null, '', location.pathname + location.search)
  return true
}

for (const button of document.querySelectorAll('[data-lang]')) button.addEventListener('click', () => { lang = button.dataset.lang; sessionStorage.setItem('lang', lang); draw() })
for (const radio of document.getElementsByName('source')) radio.addEventListener('change', () => { remember(); source = radio.value; clearNotice(); drawForm(); markStale() })
$('form').addEventListener('submit', submit)
$('submit').addEventListener('click', event => { if (event.detail > 1) event.preventDefault() }) // a double click is one application
$('form').addEventListener('input', () => { count(); markStale() })
$('form').addEventListener('reset', event => { event.preventDefault(); fields = []; typed = {}; clearNotice(); drawForm(); markStale(); document.querySelector('#fields input, #fields select')?.focus() })
$('example').addEventListener('click', () => api && fillExample())
$('key-form').addEventListener('submit', event => {
  event.preventDefault()
  const key = $('key').value.trim()
  if (!key) return
  sessionStorage.setItem('key', key)
  $('key').value = ''
  clearNotice()
  $('submit').focus()
})
addEventListener('hashchange', () => { if (takeKey() && !$('key-form').hidden) clearNotice() })
takeKey()
source = document.querySelector('[name=source]:checked').value
draw()
load()
