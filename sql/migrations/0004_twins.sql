-- A dossier counts the other clients with the same date of birth and income who applied shortly before.
create index clients_jumeaux on clients (date_naissance, revenu_mensuel);
