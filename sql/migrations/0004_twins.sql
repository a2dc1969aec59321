-- Two applications under two names with one date of birth and one income: a dossier looks for them.
create index clients_jumeaux on clients (date_naissance, revenu_mensuel);
