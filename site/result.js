// The answer as a person reads it. What is drawn is what the service said; sums are made for drawing only.
import { day, label } from './contract.js'
import { $, decimal, el, icon, locale, number, percent, reason, signed, t } from './words.js'

// ---- the gauge: probabilities from 0 to 1 on a square-root scale, which leaves room where decisions are made -------
const place = p => `${(Math.sqrt(p) * 100).toFixed(2)}%`
const between = (low, high, attributes) => el('rect', { x: place(low), width: `${Math.max((Math.sqrt(high) - Math.sqrt(low)) * 100, .4).toFixed(2)}%`, ...attributes })
const mark = (p, ...shapes) => el('svg', { x: place(p), overflow: 'visible' }, ...shapes)

export function gauge(r, ghost) {
  const p = r.probabilite_defaut, { bas, haut } = r.intervalle ?? { bas: p, haut: p }, cuts = r.seuils
  const name = t('gauge', percent(p), percent(bas), percent(haut)) + (ghost ? ` ${t('before', percent(ghost.probabilite_defaut))}` : '')
  const zones = cuts ? [[0, cuts.accepter, 'accepter'], [cuts.accepter, cuts.refuser, 'examiner'], [cuts.refuser, 1, 'refuser']] : []
  return el('figure', { class: 'gauge' },
    el('svg', { role: 'img', 'aria-label': name, height: 58 },
      ...[0, .01, .05, .1, .25, .5, 1].map(v => el('text', { x: place(v), y: 11, class: [.01, .05].includes(v) ? 'tick minor' : 'tick', 'text-anchor': v === 0 ? 'start' : v === 1 ? 'end' : 'middle' }, percent(v, 0))),
      el('rect', { x: 0, y: 24, width: '100%', height: 14, class: 'track' }),
      ...zones.map(([low, high, zone]) => between(low, high, { y: 24, height: 14, class: `zone ${zone}` })),
      ...(cuts ? [cuts.accepter, cuts.refuser].map(v => el('line', { x1: place(v), x2: place(v), y1: 22, y2: 42, class: 'cut' })) : []),
      ghost ? mark(ghost.probabilite_defaut, el('circle', { cx: 0, cy: 31, r: 6, class: 'ghost' })) : null,
      between(bas, haut, { y: 18, height: 3, class: 'interval' }),
      mark(p, el('path', { d: 'M0 18v24', class: 'needle' }), el('path', { d: 'M0 40l-6.5 10h13z', class: 'point' }))),
    cuts ? el('figcaption', {}, el('span', { class: 'key accepter' }, t('below', percent(cuts.accepter))), el('span', { class: 'key examiner' }, t('between')),
      el('span', { class: 'key refuser' }, t('above', percent(cuts.refuser)))) : null)
}

export const interval = r => r.intervalle && percent(r.intervalle.bas) !== percent(r.intervalle.haut) ? t('interval', percent(r.intervalle.bas), percent(r.intervalle.haut)) : ''

function words(p) {
  if (p >= .15) return t('inTen', Math.round(p * 10))
  return t('oneIn', number(Math.max(1, Math.round(1 / Math.max(p, 1e-4)))))
}

const classes = grade => el('ol', { class: 'classes', id: 'grade' }, ...[...'ABCDEFG'].map(c => el('li', { 'aria-current': c === grade && 'true', 'data-class': c }, c)))

// ---- the reasons: from the starting point to the total, each bar where the one before it ended ---------------------
const TICKS = [.1, .01, .05, .02, .2, .5, .001, .005, .03, .15, .3, .002, .015, .07, .7, .8, .9, .95, .98, .99, .999] // the roundest first
const logOdds = p => Math.log(p / (1 - p))

function waterfall(r) {
  const steps = [], ends = [r.base]
  for (const { contribution } of r.raisons) { steps.push([ends.at(-1), ends.at(-1) + contribution]); ends.push(ends.at(-1) + contribution) }
  const total = ends.at(-1), least = Math.min(...ends), width = Math.max(Math.max(...ends) - least, .2), low = least - width * .07, range = width * 1.14
  const x = value => (value - low) / range * 100, ticks = []
  for (const p of TICKS) if (x(logOdds(p)) > 4 && x(logOdds(p)) < 96 && ticks.every(other => Math.abs(x(logOdds(p)) - x(logOdds(other))) > 13)) ticks.push(p)
  const grid = () => ticks.map(p => el('line', { x1: `${x(logOdds(p))}%`, x2: `${x(logOdds(p))}%`, y1: 0, y2: '100%', class: 'grid-line' }))
  const thread = (value, y1, y2) => el('line', { x1: `${x(value)}%`, x2: `${x(value)}%`, y1, y2, class: 'thread' })
  const row = (kind, words, value, ...shapes) => el('li', { class: kind }, el('span', {}, words), el('output', {}, signed(value)), el('svg', { 'aria-hidden': true }, ...grid(), ...shapes))
  const post = value => el('rect', { x: `${x(value) - .6}%`, width: '1.2%', y: '16%', height: '68%', class: 'post' })
  return [
    el('svg', { class: 'scale', 'aria-hidden': true }, ...ticks.map(p => el('text', { x: `${x(logOdds(p))}%`, y: 12, 'text-anchor': 'middle', class: 'tick' }, percent(p, Number.isInteger(Number((p * 100).toFixed(6))) ? 0 : 1)))),
    el('ol', { class: 'fall' },
      row('end', t('base'), r.base, thread(r.base, '50%', '100%'), post(r.base)),
      ...r.raisons.map((part, i) => {
        const [from, to] = steps[i], up = part.contribution >= 0
        return row('reason', reason(part), part.contribution, thread(from, 0, '50%'), thread(to, '50%', '100%'),
          el('rect', { class: `bar-value ${up ? 'up' : 'down'}`, x: `${x(Math.min(from, to))}%`, width: `${Math.max(Math.abs(x(to) - x(from)), .4)}%`, y: '22%', height: '56%', 'data-from': from, 'data-to': to }))
      }),
      row('end', t('total', percent(r.probabilite_defaut)), total, thread(total, 0, '50%'), post(total)))]
}

// ---- the anomaly ---------------------------------------------------------------------------------------------------
function rank(a) {
  const odd = a.est_atypique
  return el('svg', { class: 'rank', role: 'img', 'aria-label': `${t('scale')} : ${number(a.percentile, 1)}`, height: 34 },
    el('rect', { x: 0, y: 8, width: '100%', height: 8, rx: 4, class: 'track' }),
    ...[10, 20, 30, 40, 50, 60, 70, 80, 90].map(v => el('line', { x1: `${v}%`, x2: `${v}%`, y1: 8, y2: 16, class: 'grid-line' })),
    el('svg', { x: `${a.percentile}%`, overflow: 'visible' }, el('circle', { cx: a.percentile > 97 ? -5 : a.percentile < 3 ? 5 : 0, cy: 12, r: 7, class: odd ? 'odd' : 'usual' })),
    ...[[0, 'start'], [50, 'middle'], [100, 'end']].map(([v, anchor]) => el('text', { x: `${v}%`, y: 32, class: 'tick', 'text-anchor': anchor }, v)))
}

const share = p => p < 50 ? t('lessUnusual', percent(1 - p / 100, p < 1 ? 1 : 0)) : t('moreUnusual', percent(p / 100, p > 99 ? 1 : 0))

function oddities(reasons) {
  const most = Math.max(...reasons.map(r => r.contribution)) || 1
  return el('ol', { class: 'odd-list' }, ...reasons.map(r => el('li', {}, el('span', {}, reason(r)), el('output', {}, signed(r.contribution)),
    el('svg', { 'aria-hidden': true }, el('rect', { class: 'odd', width: `${Math.max(r.contribution / most * 100, .5)}%`, height: '100%', rx: 2 })))))
}

function anomaly(a) {
  const odd = a.est_atypique
  return el('section', { class: 'block', id: 'anomaly', 'aria-labelledby': 'anomaly-title' },
    el('div', { class: `flag ${odd ? 'atypical' : 'usual'}` }, icon(odd ? 'atypical' : 'usual'),
      el('div', {}, el('h3', { id: 'anomaly-title' }, t(odd ? 'atypical' : 'usual')), el('p', {}, share(a.percentile), odd ? ` ${t('person')}` : ''))),
    rank(a),
    el('p', { class: 'note' }, t('surprise', decimal(a.score), decimal(a.seuil))),
    a.raisons.length ? el('details', { open: odd }, el('summary', {}, t('atypicalWhy')), oddities(a.raisons), el('p', { class: 'note' }, t('unitOdd'))) : null)
}

const motives = list => el('section', { class: 'block', id: 'motives', 'aria-labelledby': 'motives-title' }, el('h3', { id: 'motives-title' }, t('motives')),
  list.length ? el('ol', {}, ...list.map(m => el('li', {}, reason(m), el('small', {}, t('rests', m.champs.map(name => label(name)).join(', '))))))
    : el('p', { class: 'note' }, t('noMotive')))

// ---- the whole -----------------------------------------------------------------------------------------------------
const when = iso => new Date(iso).toLocaleString(locale(), { dateStyle: 'medium', timeStyle: 'medium' })

export function nothingYet() {
  return el('div', { class: 'empty' }, el('p', {}, t('empty')), el('ul', {}, ...['empty1', 'empty2', 'empty3', 'empty4'].map(key => el('li', {}, t(key)))))
}

export function headline(r) {
  return el('div', { class: `headline ${r.recommandation}` },
    el('div', { class: 'verdict' }, el('p', { class: 'label' }, t('recommendation')), el('p', { class: 'word' }, icon(r.recommandation), t(r.recommandation))),
    el('dl', {}, el('dt', { class: 'label' }, t('pd')), el('dd', { class: 'pd', id: 'pd' }, percent(r.probabilite_defaut)),
      el('dd', { class: 'between', id: 'interval' }, interval(r))))
}

export function drawAnswer({ result: r, took, at }, stale, ...more) {
  $('answer').replaceChildren(
    el('p', { class: 'stale', id: 'stale', hidden: !stale }, t('stale')),
    headline(r), gauge(r), el('p', { class: 'words' }, words(r.probabilite_defaut)),
    el('dl', { class: 'figures' }, el('div', {}, el('dt', { class: 'label' }, t('points')), el('dd', {}, el('span', { id: 'points' }, number(r.score)), el('small', {}, ` ${t('pointsUnit')}`))),
      el('div', {}, el('dt', { class: 'label' }, t('grade')), el('dd', {}, classes(r.classe_risque)))),
    el('section', { class: 'block', id: 'reasons', 'aria-labelledby': 'reasons-title' }, el('h3', { id: 'reasons-title' }, t('why')),
      el('p', { class: 'legend' }, el('span', { class: 'key down' }, t('lowers')), el('span', { class: 'key up' }, t('raises'))),
      ...waterfall(r), el('p', { class: 'note' }, t('unitReason'))),
    el('div', { class: 'pair' }, motives(r.motifs), anomaly(r.anomalie)), ...more,
    el('dl', { class: 'trace block' }, el('dt', {}, t('decision')), el('dd', { id: 'decision' }, r.decision_id), el('dt', {}, t('time')), el('dd', {}, when(at)), el('dt', {}, t('model')), el('dd', {}, r.modele.version),
      el('dt', {}, t('date')), el('dd', {}, day(r.date_demande)), el('dt', {}, t('took')), el('dd', { id: 'took' }, `${number(took)} ms`)))
}

export const announcement = r => t('announce', t(r.recommandation), percent(r.probabilite_defaut), r.classe_risque, t(r.anomalie.est_atypique ? 'atypical' : 'usual'))
