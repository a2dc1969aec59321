-- In MariaDB the primary key (compte_id, mois) clusters the statements of an account: a dossier reads one range of pages.
-- These indexes serve the other look-ups of a dossier. The database notebook measures each.
create index comptes_par_client on comptes (client_id, type_compte, date_ouverture);
create index demandes_par_client on demandes_de_pret (client_id, date_demande);
