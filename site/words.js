// Every word of the page in two languages, and how numbers are written in each.

const WORDS = { // key: [French, English]
  skip: ['Aller à la demande', 'Skip to the application'], language: ['Langue', 'Language'],
  title: ['Demande de prêt', 'Loan application'], application: ['Demande', 'Application'],
  lead: ['Saisissez ce qui est connu. Seuls les champs marqués obligatoires sont nécessaires ; les autres affinent la réponse.',
    'Enter what is known. Only the fields marked as required are needed; the others sharpen the answer.'],
  source: ['Origine des informations', 'Where the facts come from'], inline: ['Saisir les informations', 'Enter the facts'],
  bank: ['Client de la banque', 'Client of the bank'], examples: ['Exemples', 'Examples'],
  loading: ['Chargement du formulaire…', 'Loading the form…'], submit: ['Évaluer cette demande', 'Score this application'],
  pending: ['Évaluation…', 'Scoring…'], slow: ['Le service tarde à répondre. Encore un instant…', 'The service is slow to answer. Still waiting…'],
  clear: ['Vider le formulaire', 'Clear the form'], result: ['Résultat', 'Result'],
  footer: ['Chaque décision est enregistrée, avec ses informations et ses raisons, avant d’être affichée ici. Une simulation ne l’est jamais.',
    'Each decision is recorded, with its facts and its reasons, before it is shown here. A simulation never is.'],
  key: ['Clé d’API', 'API key'], useKey: ['Utiliser cette clé', 'Use this key'], retry: ['Réessayer', 'Try again'],
  client: ['Client', 'Client'], compte: ['Compte', 'Account'], demande: ['Prêt', 'Loan'],
  history: ['Prêts et demandes passés', 'Past loans and applications'], flows: ['Soldes et mouvements', 'Balances and flows'],
  incidents: ['Incidents', 'Incidents'], filled: ['{0} sur {1} renseignés', '{0} of {1} known'],
  required: ['obligatoire', 'required'], unknown: ['non renseigné', 'not known'],
  clientId: ['Numéro de client', 'Client number'],
  clientIdHint: ['Ses informations et celles de ses comptes sont lues dans la base de la banque, à la date de la demande.',
    'Their facts and those of their accounts are read from the bank’s database, as of the date of the application.'],
  facts: ['Ce que la banque sait au {0}', 'What the bank knows on {0}'], notKnown: ['{0} informations ne sont pas connues.', '{0} facts are not known.'],
  copyFacts: ['Reprendre dans le formulaire', 'Copy into the form'],
  empty: ['La réponse s’affichera ici.', 'The answer will appear here.'],
  empty1: ['La recommandation, et la probabilité de défaut avec son intervalle', 'The recommendation, and the probability of default with its interval'],
  empty2: ['Les raisons, une à une, du point de départ au total', 'The reasons, one by one, from the starting point to the total'],
  empty3: ['Si la demande est atypique, et pourquoi', 'Whether the application is atypical, and why'],
  empty4: ['Ce qui changerait la décision', 'What would change the decision'],
  recommendation: ['Recommandation', 'Recommendation'], accepter: ['Accepter', 'Accept'], examiner: ['Examiner', 'Review'], refuser: ['Refuser', 'Decline'],
  pd: ['Probabilité de défaut', 'Probability of default'], interval: ['entre {0} et {1}', 'between {0} and {1}'],
  oneIn: ['Environ 1 prêt sur {0} de ce profil finit en défaut.', 'About 1 loan in {0} with this profile ends in default.'],
  inTen: ['Environ {0} prêts sur 10 de ce profil finissent en défaut.', 'About {0} loans in 10 with this profile end in default.'],
  below: ['Accepter sous {0}', 'Accept below {0}'], between: ['Examiner', 'Review'], above: ['Refuser au-dessus de {0}', 'Decline above {0}'],
  gauge: ['Probabilité de défaut {0}, intervalle de {1} à {2}.', 'Probability of default {0}, interval {1} to {2}.'],
  before: ['La décision enregistrée était à {0}.', 'The recorded decision was at {0}.'],
  points: ['Score', 'Score'], pointsUnit: ['points', 'points'], grade: ['Classe de risque', 'Risk class'],
  why: ['Pourquoi ce résultat', 'Why this result'], lowers: ['réduit le risque', 'lowers the risk'], raises: ['augmente le risque', 'raises the risk'],
  base: ['Point de départ : la demande moyenne', 'Starting point: the average application'], total: ['Total, soit {0}', 'Total, which is {0}'],
  unitReason: ['Chaque barre part d’où la précédente s’arrête : le point de départ et les raisons font le total. Les nombres sont des log-cotes de défaut ; l’échelle du haut lit la même somme en probabilité.',
    'Each bar begins where the one before it ends: the starting point and the reasons make the total. The numbers are log-odds of default; the scale above reads the same sum as a probability.'],
  motives: ['Ce qui pèse contre la demande', 'What weighs against the application'], noMotive: ['Rien ne pèse nettement contre cette demande.', 'Nothing weighs clearly against this application.'],
  rests: ['Repose sur : {0}', 'Rests on: {0}'],
  usual: ['Demande habituelle', 'Usual application'], atypical: ['Demande atypique', 'Atypical application'],
  moreUnusual: ['Plus inhabituelle que {0} des demandes ordinaires.', 'More unusual than {0} of usual applications.'],
  lessUnusual: ['Moins inhabituelle que {0} des demandes ordinaires.', 'Less unusual than {0} of usual applications.'],
  scale: ['Rang parmi les demandes ordinaires, de 0 à 100', 'Rank among usual applications, from 0 to 100'],
  surprise: ['Surprise {0} ; alerte au-dessus de {1}.', 'Surprise {0}; alert above {1}.'],
  person: ['Quelle que soit sa probabilité, une personne doit la regarder.', 'Whatever its probability, a person has to look at it.'],
  atypicalWhy: ['Ce qui sort de l’ordinaire', 'What is out of the ordinary'], unitOdd: ['Ce que chacune ajoute à ce qui rend la demande étrange.', 'What each adds to what makes the application strange.'],
  model: ['Modèle', 'Model'], decision: ['Décision', 'Decision'], date: ['Date de la demande', 'Date of application'], took: ['Répondu en', 'Answered in'],
  stale: ['Le formulaire a changé depuis ce résultat.', 'The form has changed since this result.'],
  up: ['Service disponible · modèle {0}', 'Service available · model {0}'], down: ['Service indisponible', 'Service unavailable'],
  whatIf: ['Et si…', 'What if…'], simulation: ['simulation, jamais enregistrée', 'simulation, never recorded'],
  whatIfText: ['Déplacez un curseur : la demande est évaluée à nouveau, sans être une décision. Le repère creux est la décision enregistrée.',
    'Move a slider: the application is scored again without being a decision. The hollow mark is the recorded decision.'],
  simulated: ['Simulé : {0}, {1}', 'Simulated: {0}, {1}'], asDecided: ['Rien n’est changé.', 'Nothing is changed.'],
  beside: ['Score {0}, classe {1}. Enregistré : {2}, score {3}, classe {4}.', 'Score {0}, class {1}. Recorded: {2}, score {3}, class {4}.'],
  reset: ['Revenir à la demande', 'Back to the application'], apply: ['Reporter dans le formulaire', 'Put into the form'],
  fixedInstalment: ['La mensualité est donnée sans taux : montant et durée ne peuvent pas varier.', 'The instalment is given without a rate: amount and term cannot vary.'],
  changes: ['Ce qui changerait la décision', 'What would change the decision'], tryIt: ['Essayer', 'Try'], tryThis: ['Essayer : {0}', 'Try: {0}'],
  toReach: ['Pour {0}', 'To {0}'], reach_examiner: ['un examen', 'reach a review'], reach_accepter: ['une acceptation', 'be accepted'],
  instalment: ['mensualité {0}', 'instalment {0}'],
  nothingBetter: ['La demande est acceptée : il n’y a rien à gagner.', 'The application is accepted: there is nothing to gain.'],
  noChange: ['Aucun changement du montant, de la durée, des charges ou de l’épargne n’améliore la recommandation.', 'No change of amount, term, commitments or savings improves the recommendation.'],
  atypicalChange: ['Une demande atypique va à une personne, quels que soient le montant et la durée.', 'An atypical application goes to a person, whatever the amount and the term.'],
  smallest: ['Le plus petit changement de chaque information, les autres restant égales ; chacun est évalué à nouveau.', 'The smallest change of each fact, the others being equal; each is scored again.'],
  tab: ['Décisions de cet onglet', 'Decisions of this tab'], tabText: ['Gardées pour cet onglet seulement. Cochez-en deux pour les comparer.', 'Kept for this tab only. Tick two to compare them.'],
  list: ['Liste des décisions', 'List of the decisions'], time: ['Heure', 'Time'], view: ['Afficher', 'Show'], compare: ['Comparer', 'Compare'], compareOne: ['Comparer la décision de {0}', 'Compare the decision of {0}'],
  exportAll: ['Exporter en JSON', 'Export as JSON'], exportOne: ['Exporter', 'Export'], print: ['Imprimer', 'Print'], difference: ['Ce qui diffère', 'What differs'],
  same: ['Les informations sont les mêmes.', 'The facts are the same.'],
  problem: ['La demande n’est pas complète ou pas valide', 'The application is not complete or not valid'],
  keyAsk: ['Une clé d’API est nécessaire', 'An API key is needed'], keyRefused: ['La clé a été refusée', 'The key was refused'],
  keyText: ['Collez la clé reçue de votre administrateur. Elle n’est gardée que pour cet onglet. Rien de ce que vous avez saisi n’est perdu.',
    'Paste the key that your administrator gave you. It is kept for this tab only. Nothing that you typed is lost.'],
  keyScope: ['Cette clé ne permet pas d’évaluer', 'This key does not allow scoring'],
  keyScopeText: ['Demandez à votre administrateur une clé de portée score. Rien de ce que vous avez saisi n’est perdu.', 'Ask your administrator for a key of scope score. Nothing that you typed is lost.'],
  unreachable: ['Le service est injoignable', 'The service cannot be reached'],
  unreachableText: ['Vérifiez qu’il fonctionne et que le réseau est disponible. Rien de ce que vous avez saisi n’est perdu.',
    'Check that it runs and that the network is up. Nothing that you typed is lost.'],
  timeout: ['Le service n’a pas répondu à temps', 'The service did not answer in time'],
  timeoutText: ['Aucune réponse en {0} secondes. La décision a pu être enregistrée ; réessayer la redonne, sans en enregistrer une autre.',
    'No answer in {0} seconds. The decision may have been recorded; trying again repeats it, and records no other.'],
  simTimeout: ['Aucune réponse en {0} secondes.', 'No answer in {0} seconds.'],
  busy: ['Le service ne peut pas répondre maintenant', 'The service cannot answer now'],
  failed: ['Le service a échoué', 'The service failed'], tooMany: ['Trop de demandes en peu de temps', 'Too many requests in a short time'],
  wait: ['Réessayez dans {0} s.', 'Try again in {0} s.'],
  'audit-unavailable': ['La décision n’a pas pu être enregistrée : aucune n’est donnée.', 'The decision could not be recorded: none is given.'],
  'bank-unavailable': ['La base de la banque ne répond pas. Réessayez dans un instant, ou saisissez les informations.', 'The bank’s database does not answer. Try again in a moment, or enter the facts.'],
  'internal-error': ['Réessayez plus tard ; aucune décision n’a été prise.', 'Try again later; no decision was made.'],
  announce: ['Recommandation : {0}. Probabilité de défaut {1}, classe {2}. {3}.', 'Recommendation: {0}. Probability of default {1}, class {2}. {3}.'],
}
const FRENCH = [ // sentences of the service that are no rule of one field, and their French
  [/^(\w+) is required: (.*)$/, '$1 est obligatoire'], [/^(\w+) must not be later than today, (.*)$/, '$1 ne doit pas être postérieure à aujourd’hui, $2'],
  [/^(\w+) must not be later than (\w+), (.*)$/, '$1 ne doit pas être postérieure à $2, $3'],
  [/^(\w+) must make the client (\d+) to (\d+) years old on (.*)$/, '$1 doit donner au client de $2 à $3 ans le $4'],
  [/^(\w+) must be at least (\d+) years after (\w+)$/, '$1 doit suivre $3 d’au moins $2 ans'], [/^(\w+) must not be larger than (\w+)$/, '$1 ne doit pas dépasser $2'],
  [/^client_id must be a whole number between (.*) and (.*)$/, 'client_id doit être un nombre entier entre $1 et $2'],
  [/^client_id (\d+) is not a client of the bank$/, 'client_id $1 n’est pas un client de la banque'],
]

let chosen = sessionStorage.getItem('lang') ?? ((navigator.languages ?? [navigator.language])[0].toLowerCase().startsWith('fr') ? 'fr' : 'en')
export const lang = () => chosen
export const french = () => chosen === 'fr'
export function choose(language) { chosen = language; sessionStorage.setItem('lang', language) }

export const locale = () => [...(navigator.languages ?? []), navigator.language].find(l => l.toLowerCase().startsWith(chosen)) ?? { fr: 'fr-FR', en: 'en-GB' }[chosen]

export const known = key => key in WORDS
export const t = (key, ...values) => values.reduce((text, value, i) => text.replace(`{${i}}`, value), french() ? WORDS[key][0].replace(/ ([:;!?])/g, '\u00a0$1') : WORDS[key][1])
export const number = (x, digits = 0) => x.toLocaleString(locale(), { maximumFractionDigits: digits })
export const percent = (x, digits = 1) => x.toLocaleString(locale(), { style: 'percent', maximumFractionDigits: digits, minimumFractionDigits: digits })
export const decimal = (x, signDisplay = 'auto') => x.toLocaleString(locale(), { signDisplay, minimumFractionDigits: 2, maximumFractionDigits: 2 }).replace('-', '−')
export const signed = x => decimal(x, 'exceptZero')
export const reason = r => r[french() ? 'libelle' : 'label']

export function inFrench(detail, schema) { // the words of an error
  if (!french()) return detail
  if (schema?.['x-rule'] === detail) return schema['x-regle']
  const [, client, cause] = /^the bank's facts of client (\d+) cannot be scored: (.*)$/.exec(detail) ?? []
  if (client) return `les informations de la banque sur le client ${client} ne peuvent pas être évaluées : ${inFrench(cause)}`
  const [pattern, words] = FRENCH.find(([pattern]) => pattern.test(detail)) ?? []
  const text = pattern ? detail.replace(pattern, words) : detail
  return /est obligatoire$/.test(text) && schema?.['x-regle'] ? `${text} : ${schema['x-regle']}` : text
}

// ---- elements ------------------------------------------------------------------------------------------------------
const SVG = new Set(['svg', 'g', 'rect', 'line', 'path', 'circle', 'text'])
export const $ = id => document.getElementById(id)
export function el(tag, attributes = {}, ...children) {
  const node = SVG.has(tag) ? document.createElementNS('http://www.w3.org/2000/svg', tag) : document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (name === 'onclick' || name === 'oninput' || name === 'onchange') node[name] = value
    else if (value !== undefined && value !== false && value !== null) node.setAttribute(name, value === true && !name.startsWith('aria-') ? '' : value)
  }
  node.append(...children.flat().filter(child => child !== null && child !== undefined))
  return node
}
export const icon = name => el('svg', { viewBox: '0 0 24 24', class: 'icon', 'aria-hidden': true, fill: 'none', stroke: 'currentColor', 'stroke-width': 2.2, 'stroke-linecap': 'round', 'stroke-linejoin': 'round' },
  el('path', { d: { accepter: 'M4 12.5l5 5L20 6.5', examiner: 'M12 7v6M12 17v.01M12 2.5 22 20.5H2z', refuser: 'M6 6l12 12M18 6 6 18', usual: 'M4 12.5l5 5L20 6.5', atypical: 'M12 7v6M12 17v.01M12 2.5 22 20.5H2z' }[name] }))
