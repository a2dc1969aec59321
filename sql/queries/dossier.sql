-- name: dossiers
-- The facts of each application of `source` as the bank knew them on its date, one JSON object a row: one column is
-- read faster from Python than many.
-- Statements of the month of the application or later are left out, and so are outcomes that became known later.
with source as (
  /* source: une_demande or des_demandes */
),
cible as (
  select source.*,
         date(replace('m-01', 'm', substr(date_demande, 1, 7))) as mois_demande,
         date(replace(replace('a-m-01', 'a', substr(date_demande, 1, 4) - (substr(date_demande, 6, 2) = '01')), 'm',
                      substr('120102030405060708091011', 2 * substr(date_demande, 6, 2) - 1, 2))) as mois_precedent,
         date(replace(replace('a-m-01', 'a', substr(date_demande, 1, 4) - (substr(date_demande, 6, 2) < '04')), 'm',
                      substr('101112010203040506070809', 2 * substr(date_demande, 6, 2) - 1, 2))) as trois_mois_avant,
         date(replace(replace('a-m-01', 'a', substr(date_demande, 1, 4) - 1), 'm', substr(date_demande, 6, 2))) as un_an_avant
  from source /* page: none, or its order and length */
)
select json_object(
  'demande_id', demande_id, 'client_id', client_id, 'date_demande', date_demande,
  'date_naissance', date_naissance, 'situation_familiale', situation_familiale, 'personnes_a_charge', personnes_a_charge,
  'statut_logement', statut_logement, 'statut_emploi', statut_emploi, 'date_embauche', date_embauche,
  'revenu_mensuel', revenu_mensuel, 'charges_mensuelles', charges_mensuelles,
  'prets', (
    select json_object(
      'nb_prets_rembourses', count(case when statut_pret = 'Remboursé' and date_statut < cible.date_demande then 1 end),
      'nb_prets_en_cours', count(case when decision = 'acceptee' and (date_statut is null or date_statut >= cible.date_demande) then 1 end),
      'nb_prets_defaut', count(case when statut_pret = 'Défaut' and date_statut < cible.date_demande then 1 end),
      'nb_demandes_12m', count(case when passe.date_demande >= cible.un_an_avant then 1 end))
    from demandes_de_pret as passe
    where passe.client_id = cible.client_id and passe.date_demande < cible.date_demande),
  'nb_jumeaux', (
    select count(distinct jumeau.client_id)
    from clients as jumeau
    join demandes_de_pret as ailleurs on ailleurs.client_id = jumeau.client_id
    where jumeau.date_naissance = cible.date_naissance and jumeau.revenu_mensuel = cible.revenu_mensuel and jumeau.client_id <> cible.client_id
      and ailleurs.date_demande >= cible.mois_precedent and ailleurs.date_demande < cible.date_demande),
  'comptes', (
    select json_object('nb_comptes', count(*), 'epargne', round(sum(solde_moyen), 2))
    from comptes as tous
    left join releves_mensuels as livret on livret.compte_id = tous.compte_id and tous.type_compte = 'epargne' and livret.mois = cible.mois_precedent
    where tous.client_id = cible.client_id and tous.date_ouverture <= cible.date_demande),
  'historique', (
    select json_object(
      'date_ouverture', min(date_ouverture), 'decouvert_autorise', min(decouvert_autorise), 'nb_releves_12m', count(mois),
      'solde_min_12m', min(solde_min), 'solde_max_12m', max(solde_moyen),
      'somme_soldes_12m', round(sum(solde_moyen), 2), 'nb_soldes_12m', count(solde_moyen),
      'somme_soldes_3m', round(sum(case when mois >= cible.trois_mois_avant then solde_moyen end), 2),
      'nb_soldes_3m', count(case when mois >= cible.trois_mois_avant then solde_moyen end),
      'somme_credits_12m', round(sum(total_credits), 2), 'nb_credits_12m', count(total_credits),
      'somme_debits_12m', round(sum(total_debits), 2), 'nb_debits_12m', count(total_debits),
      'jours_decouvert_12m', sum(jours_decouvert), 'jours_decouvert_3m', sum(case when mois >= cible.trois_mois_avant then jours_decouvert end),
      'nb_rejets_12m', sum(nb_rejets), 'nb_rejets_3m', sum(case when mois >= cible.trois_mois_avant then nb_rejets end),
      'dernier_rejet', max(case when nb_rejets > 0 then mois end))
    from comptes as principal
    left join releves_mensuels on releves_mensuels.compte_id = principal.compte_id and mois >= cible.un_an_avant and mois < cible.mois_demande
    where principal.compte_id = (
      select compte_id from comptes
      where comptes.client_id = cible.client_id and type_compte = 'courant' and date_ouverture <= cible.date_demande
      order by date_ouverture, compte_id limit 1))) as dossier
from cible
order by demande_id;

-- name: une_demande
-- One client of the bank, on one date.
select 0 as demande_id, date(:date_demande) as date_demande, clients.* from clients where client_id = :client_id;

-- name: des_demandes
-- The applications of the bank after :apres, up to :jusque. The page is cut in `cible`, so its rows are computed once.
select demande_id, date_demande, clients.* from demandes_de_pret join clients using (client_id) where demande_id > :apres and demande_id <= :jusque;

-- name: demandes
-- The loan, the decision and the outcome of each application, page by page, in the order of `dossiers`.
select demande_id, client_id, date_demande, montant, duree_mois, taux_annuel, mensualite, objet, canal, decision, statut_pret, date_statut, sexe
from demandes_de_pret join clients using (client_id)
where demande_id > :apres and demande_id <= :jusque
order by demande_id limit :page;

-- name: bornes
-- Every :taille-th application: the bounds of parts of equal size.
select demande_id from (select demande_id, row_number() over (order by demande_id) as rang from demandes_de_pret) as rangs
where mod(rang, :taille) = 0 order by demande_id;
