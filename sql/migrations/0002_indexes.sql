-- The primary key (compte_id, mois) clusters the statements of an account in MariaDB, so a dossier reads one range of pages.
-- These serve the remaining look-ups of a dossier; the database notebook shows what each is worth.
create index comptes_par_client on comptes (client_id, type_compte, date_ouverture);
create index demandes_par_client on demandes_de_pret (client_id, date_demande);
