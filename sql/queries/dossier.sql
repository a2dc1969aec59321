-- name: dossiers
-- Facts of each application as the bank knew them on its date; or those of :client_id on :date_demande when it is given.
-- Statements of the month of the application or later, and outcomes not yet known that day, never reach a row.
with cible as (
  select demande_id, client_id, date_demande from demandes_de_pret where :client_id is null
  union all
  select 0, client_id, date(:date_demande) from clients where client_id = :client_id
),
principal as (
  select cible.*,
         (select compte_id from comptes
           where comptes.client_id = cible.client_id and type_compte = 'courant' and date_ouverture <= cible.date_demande
           order by date_ouverture, compte_id limit 1) as compte_id
  from cible
),
releves as (
  select principal.*, mois, solde_moyen, solde_min, total_credits, total_debits, jours_decouvert, nb_rejets,
         12 * (substr(date_demande, 1, 4) - substr(mois, 1, 4)) + substr(date_demande, 6, 2) - substr(mois, 6, 2) as age
  from principal
  left join releves_mensuels on releves_mensuels.compte_id = principal.compte_id and mois < principal.date_demande
),
historique as (
  select demande_id, client_id, date_demande, compte_id,
         count(case when age between 1 and 12 then mois end)              as nb_releves_12m,
         sum(case when age between 1 and 12 then solde_moyen end)         as somme_soldes_12m,
         count(case when age between 1 and 12 then solde_moyen end)       as nb_soldes_12m,
         sum(case when age between 1 and 3 then solde_moyen end)          as somme_soldes_3m,
         count(case when age between 1 and 3 then solde_moyen end)        as nb_soldes_3m,
         min(case when age between 1 and 12 then solde_min end)           as solde_min_12m,
         max(case when age between 1 and 12 then solde_moyen end)         as solde_max_12m,
         sum(case when age between 1 and 12 then total_credits end)       as somme_credits_12m,
         count(case when age between 1 and 12 then total_credits end)     as nb_credits_12m,
         sum(case when age between 1 and 12 then total_debits end)        as somme_debits_12m,
         count(case when age between 1 and 12 then total_debits end)      as nb_debits_12m,
         sum(case when age between 1 and 12 then jours_decouvert end)     as jours_decouvert_12m,
         sum(case when age between 1 and 3 then jours_decouvert end)      as jours_decouvert_3m,
         sum(case when age between 1 and 12 then nb_rejets end)           as nb_rejets_12m,
         sum(case when age between 1 and 3 then nb_rejets end)            as nb_rejets_3m,
         min(case when age between 1 and 12 and nb_rejets > 0 then age end) as mois_depuis_rejet
  from releves
  group by demande_id, client_id, date_demande, compte_id
)
select historique.demande_id, historique.client_id, historique.date_demande,
       clients.date_naissance, situation_familiale, personnes_a_charge, statut_logement, statut_emploi, date_embauche,
       revenu_mensuel, charges_mensuelles,
       (select count(*) from demandes_de_pret as passe where passe.client_id = historique.client_id
          and statut_pret = 'Remboursé' and date_statut < historique.date_demande) as nb_prets_rembourses,
       (select count(*) from demandes_de_pret as passe where passe.client_id = historique.client_id
          and decision = 'acceptee' and passe.date_demande < historique.date_demande
          and (date_statut is null or date_statut >= historique.date_demande)) as nb_prets_en_cours,
       (select count(*) from demandes_de_pret as passe where passe.client_id = historique.client_id
          and statut_pret = 'Défaut' and date_statut < historique.date_demande) as nb_prets_defaut,
       (select count(*) from demandes_de_pret as passe where passe.client_id = historique.client_id
          and passe.date_demande < historique.date_demande
          and 12 * (substr(historique.date_demande, 1, 4) - substr(passe.date_demande, 1, 4))
              + substr(historique.date_demande, 6, 2) - substr(passe.date_demande, 6, 2) <= 12) as nb_demandes_12m,
       comptes.date_ouverture, decouvert_autorise,
       (select count(*) from comptes as tous where tous.client_id = historique.client_id
          and tous.date_ouverture <= historique.date_demande) as nb_comptes,
       (select round(sum(solde_moyen), 2) from comptes as livrets join releves_mensuels as releve on releve.compte_id = livrets.compte_id
         where livrets.client_id = historique.client_id and livrets.type_compte = 'epargne'
           and livrets.date_ouverture <= historique.date_demande
           and releve.mois < historique.date_demande
           and 12 * (substr(historique.date_demande, 1, 4) - substr(releve.mois, 1, 4))
               + substr(historique.date_demande, 6, 2) - substr(releve.mois, 6, 2) = 1) as epargne,
       nb_releves_12m, solde_min_12m, solde_max_12m,
       cast(round(somme_soldes_12m, 2) as double) / nb_soldes_12m as solde_moyen_12m,
       cast(round(somme_soldes_3m, 2) as double) / nb_soldes_3m as solde_moyen_3m,
       cast(round(somme_credits_12m, 2) as double) / nb_credits_12m as credits_moyens_12m,
       cast(round(somme_debits_12m, 2) as double) / nb_debits_12m as debits_moyens_12m,
       jours_decouvert_12m, jours_decouvert_3m, nb_rejets_12m, nb_rejets_3m, mois_depuis_rejet
from historique
join clients on clients.client_id = historique.client_id
left join comptes on comptes.compte_id = historique.compte_id
order by historique.demande_id;

-- name: demandes
-- What was asked for, what was decided and how it ended, in the order of `dossiers`.
select demande_id, client_id, date_demande, montant, duree_mois, taux_annuel, mensualite, objet, canal, decision, statut_pret, date_statut, sexe
from demandes_de_pret join clients using (client_id)
order by demande_id;
